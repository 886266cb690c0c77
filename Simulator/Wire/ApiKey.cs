using System.Security.Cryptography;
using System.Text;

namespace AiAspire.Simulator.Wire;

/// <summary>What is kept of a caller's key.</summary>
internal static class ApiKey
{
    /// <summary>The key every company refuses.</summary>
    public const string Invalid = "sim-invalid";

    public const string None = "none";

    /// <summary>The key of <c>Authorization: Bearer …</c>; empty when there is none.</summary>
    public static string Bearer(HttpRequest request)
    {
        const string scheme = "Bearer ";
        var header = request.Headers.Authorization.ToString();
        return header.StartsWith(scheme, StringComparison.OrdinalIgnoreCase) ? header[scheme.Length..].Trim() : "";
    }

    /// <summary><c>3f2a9c0d1e4b5a67-x9Qz</c>: the first 8 bytes of the SHA-256, and the last 4 characters.</summary>
    public static string Fingerprint(string key)
    {
        Span<byte> utf8 = stackalloc byte[512];
        Span<byte> hash = stackalloc byte[SHA256.HashSizeInBytes];
        if (Encoding.UTF8.TryGetBytes(key, utf8, out var written)) SHA256.HashData(utf8[..written], hash);
        else SHA256.HashData(Encoding.UTF8.GetBytes(key), hash);
        return $"{Convert.ToHexStringLower(hash[..8])}-{Tail(key)}";
    }

    /// <summary>The last 4 characters, fewer of a short secret: never more than half of it.</summary>
    public static string Tail(string secret) => secret[^Math.Min(4, secret.Length / 2)..];
}
