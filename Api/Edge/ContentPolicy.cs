using Scalar.AspNetCore;

namespace AiAspire.Api.Edge;

/// <summary>What a browser may do with an answer of ours: nothing, but for the one page there is.</summary>
internal static class ContentPolicy
{
    private const string Nothing = "default-src 'none'; frame-ancestors 'none'";

    /// <summary>The reference page brings its own script, started by one with a nonce that is new for every request; it makes its styles as it goes.</summary>
    public static string For(HttpContext http) => http.Items[ScalarOptions.NonceHttpContextItemKey] is string nonce
        ? $"default-src 'self'; script-src 'self' 'nonce-{nonce}'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; "
            + "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
        : Nothing;
}
