using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text;

namespace AiAspire.Core.Tenancy;

/// <summary>API keys: <c>sk-</c> and 256 random bits as base64url, so that SDKs and secret scanners know them as keys.</summary>
public static class ApiKeyFormat
{
    public const string Prefix = "sk-";
    private const int ShownCharacters = 10;

    public static string Create() => Prefix + Base64Url.EncodeToString(RandomNumberGenerator.GetBytes(32));

    public static byte[] Hash(string key) => SHA256.HashData(Encoding.UTF8.GetBytes(key));

    /// <summary>What may be shown and stored of a key.</summary>
    public static string Shown(string key) => key[..Math.Min(ShownCharacters, key.Length)];
}
