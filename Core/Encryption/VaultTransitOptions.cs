using System.ComponentModel.DataAnnotations;
using System.Net;

namespace AiAspire.Core.Encryption;

/// <summary>Section <c>Encryption:Vault</c>: a master key that never leaves a HashiCorp Vault (transit secrets engine).</summary>
public sealed class VaultTransitOptions
{
    /// <summary>The server, such as <c>https://vault.internal:8200</c>. Plain HTTP only on loopback.</summary>
    public Uri? Address { get; init; }

    /// <summary>The name of the transit key. Its type must take associated data: <c>aes256-gcm96</c> (Vault's default) or <c>chacha20-poly1305</c>.</summary>
    public string Key { get; init; } = "";

    /// <summary>Where the transit engine is mounted. Default <c>transit</c>.</summary>
    public string Mount { get; init; } = "transit";

    /// <summary>A file with the token, read at every call, so that an agent may renew it.</summary>
    public string? TokenFile { get; init; }

    /// <summary>The token itself, fed by a secret store.</summary>
    public string? Token { get; init; }

    /// <summary>The namespace of Vault Enterprise; none by default.</summary>
    public string? Namespace { get; init; }

    /// <summary>Seconds until a call is given up. Default 10.</summary>
    public int TimeoutSeconds { get; init; } = 10;

    internal IEnumerable<ValidationResult> Validate()
    {
        if (Address is not { IsAbsoluteUri: true } || (Address.Scheme != Uri.UriSchemeHttps && Address.Scheme != Uri.UriSchemeHttp))
            yield return Wrong("Encryption:Vault:Address must be an http(s) address.", nameof(Address));
        else if (Address.Scheme != Uri.UriSchemeHttps && !IsLoopback(Address))
            yield return Wrong($"Encryption:Vault:Address is {Address}: use https, because the token and the keys travel there.", nameof(Address));
        if (!IsPath(Key) || Key.Contains('/'))
            yield return Wrong("Encryption:Vault:Key must name a transit key (letters, digits, '-', '_', '.').", nameof(Key));
        if (!IsPath(Mount))
            yield return Wrong("Encryption:Vault:Mount must be the path of a transit engine.", nameof(Mount));
        if (string.IsNullOrWhiteSpace(TokenFile) == string.IsNullOrWhiteSpace(Token))
            yield return Wrong("Set exactly one of Encryption:Vault:TokenFile and Encryption:Vault:Token.", nameof(Token));
        if (TimeoutSeconds is < 1 or > 300)
            yield return Wrong("Encryption:Vault:TimeoutSeconds must be between 1 and 300.", nameof(TimeoutSeconds));
    }

    private static bool IsLoopback(Uri address) => address.Host == "localhost" || (IPAddress.TryParse(address.Host.Trim('[', ']'), out var ip) && IPAddress.IsLoopback(ip));

    private static bool IsPath(string text)
        => text.Length > 0 && text.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.' or '/') && !text.Split('/').Any(part => part is "" or "." or "..");

    private static ValidationResult Wrong(string message, string member) => new(message, [$"Vault.{member}"]);
}
