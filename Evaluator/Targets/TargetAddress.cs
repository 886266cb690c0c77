namespace AiAspire.Evaluator.Targets;

/// <param name="BaseAddress">Up to and including the version segment, with a slash at its end: <c>http://host/v1/</c>.</param>
/// <param name="ApiKey">Sent as bearer token; null for targets that ask for none.</param>
public sealed record TargetAddress(Uri BaseAddress, string? ApiKey)
{
    /// <summary>An address without a path means its <c>/v1</c>, as the SDKs of the field have it.</summary>
    /// <exception cref="TargetException">The text is not an http(s) address.</exception>
    public static TargetAddress Of(string url, string? apiKey)
    {
        if (!Uri.TryCreate(url, UriKind.Absolute, out var uri) || uri.Scheme is not ("http" or "https"))
            throw new TargetException($"'{url}' is not an http or https address; write it like http://127.0.0.1:5000/v1.");
        var path = uri.AbsolutePath.TrimEnd('/');
        return new TargetAddress(new UriBuilder(uri) { Path = (path.Length == 0 ? "/v1" : path) + "/", Query = "", Fragment = "" }.Uri, apiKey);
    }
}
