using System.ComponentModel.DataAnnotations;

namespace AiAspire.Api.Edge;

/// <summary>Section <c>Api:Cors</c>.</summary>
public sealed class CorsOptions
{
    /// <summary>Origins such as <c>https://app.example.com</c>, each named; plain http only on loopback. Cookies are never used, so credentials are never allowed.</summary>
    public string[] Origins { get; init; } = [];

    internal IEnumerable<ValidationResult> Faults()
        => Origins.Where(o => !IsOrigin(o)).Select(o => new ValidationResult(
            $"Api:Cors:Origins has '{o}': name each origin as https://host or https://host:port, without path and without '*'.", [nameof(ApiOptions.Cors)]));

    // What browsers send is compared letter by letter: lower case, no slash at the end.
    private static bool IsOrigin(string text)
        => Uri.TryCreate(text, UriKind.Absolute, out var uri)
            && (uri.Scheme == Uri.UriSchemeHttps || (uri.Scheme == Uri.UriSchemeHttp && uri.IsLoopback))
            && text == uri.GetLeftPart(UriPartial.Authority)
            && !text.Contains('*');
}
