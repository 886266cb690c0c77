namespace AiAspire.Evaluator.Targets;

/// <summary>Decides whom the command line evaluates.</summary>
internal static class TargetFinder
{
    private const string AllowPlaintext = "AIASPIRE_ALLOW_PLAINTEXT";

    /// <param name="url">From the command line; wins.</param>
    /// <param name="apiKey">From the command line; wins over environment and run file.</param>
    /// <param name="environment">Reads environment variables.</param>
    /// <param name="startFolders">Where to look for a run file, each with its parents.</param>
    /// <exception cref="TargetException">There is none; says what to do.</exception>
    public static TargetAddress Find(
        string? url, string? apiKey, Func<string, string?> environment, params ReadOnlySpan<string> startFolders)
    {
        var key = NotEmpty(apiKey) ?? NotEmpty(environment("AIASPIRE_API_KEY"));
        if (url is not null)
            return Guarded(TargetAddress.Of(url, key ?? NotEmpty(environment("OPENAI_API_KEY"))), environment);
        if (RunFile.Find(startFolders) is { } run)
            // Not OPENAI_API_KEY: a company's key is no business of the local application.
            return TargetAddress.Of(run.Api, key ?? run.DevelopmentKey);
        throw new TargetException(
            "No running application was found (.aiaspire/run.json in this folder or above): start it with "
            + "'dotnet run --project AppHost', or name another target with --url.");
    }

    private static TargetAddress Guarded(TargetAddress target, Func<string, string?> environment)
        => target.ApiKey is null || target.BaseAddress.Scheme == Uri.UriSchemeHttps || target.BaseAddress.IsLoopback || environment(AllowPlaintext) == "true"
            ? target
            : throw new TargetException(
                $"{target.BaseAddress} is another machine without TLS, and the API key would travel there for all to read: use https, or set {AllowPlaintext}=true when the network itself is encrypted.");

    private static string? NotEmpty(string? text) => string.IsNullOrWhiteSpace(text) ? null : text;
}
