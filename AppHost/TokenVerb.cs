using System.Globalization;
using System.Security.Cryptography;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace AiAspire.AppHost;

/// <summary><c>token</c>: prints an access token (RFC 9068) signed with the development issuer's key.</summary>
internal static class TokenVerb
{
    public const string Issuer = "https://dev.aiaspire.local";
    public const string Audience = "aiaspire";
    private const string Usage = "token --tenant T --user U [--role R]... [--expires 30s|15m|1h|7d] [--data DIR]";

    // The plus sign of "at+jwt" as it is: no HTML is near.
    private static readonly JsonSerializerOptions Plain = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public static int Run(string[] args, TextWriter output, TextWriter error, TimeProvider time)
    {
        var (tenant, user, data, lifetime) = ("", "", DevelopmentSecrets.DefaultDataFolder, TimeSpan.FromHours(1));
        var roles = new List<string>();
        for (var i = 0; i < args.Length; i += 2)
        {
            var value = i + 1 < args.Length ? args[i + 1] : "";
            switch (args[i])
            {
                case "--tenant" when value != "":
                    tenant = value;
                    break;
                case "--user" when value != "":
                    user = value;
                    break;
                case "--role" when value != "":
                    roles.Add(value);
                    break;
                case "--data" when value != "":
                    data = value;
                    break;
                case "--expires" when ParseLifetime(value) is { } parsed:
                    lifetime = parsed;
                    break;
                default:
                    error.WriteLine($"'{args[i]} {value}' is not understood: {Usage}");
                    return 2;
            }
        }

        if (tenant == "" || user == "")
        {
            error.WriteLine($"A token names a tenant and a user: {Usage}");
            return 2;
        }

        using var key = DevelopmentSecrets.In(data).IssuerKey();
        output.WriteLine(Sign(key, tenant, user, roles, lifetime, time));
        return 0;
    }

    internal static string Sign(ECDsa key, string tenant, string user, IReadOnlyList<string> roles, TimeSpan lifetime, TimeProvider time)
    {
        var now = time.GetUtcNow();
        var header = new Dictionary<string, object> { ["alg"] = "ES256", ["typ"] = "at+jwt" };
        var claims = new Dictionary<string, object>
        {
            ["iss"] = Issuer,
            ["aud"] = Audience,
            ["sub"] = user,
            ["tenant_id"] = tenant,
            ["roles"] = roles,
            ["iat"] = now.ToUnixTimeSeconds(),
            ["nbf"] = now.ToUnixTimeSeconds(),
            ["exp"] = (now + lifetime).ToUnixTimeSeconds(),
            ["jti"] = Guid.CreateVersion7(now).ToString(),
        };
        var signed = $"{Part(header)}.{Part(claims)}";
        // JWS wants r and s side by side (RFC 7518, 3.4), not the DER sequence that other uses of ECDSA have.
        var signature = key.SignData(System.Text.Encoding.ASCII.GetBytes(signed), HashAlgorithmName.SHA256, DSASignatureFormat.IeeeP1363FixedFieldConcatenation);
        return $"{signed}.{DevelopmentSecrets.Base64Url(signature)}";
    }

    /// <summary>From <c>90s</c>, <c>15m</c>, <c>1h</c>, <c>7d</c>; null when it is none, or not positive.</summary>
    internal static TimeSpan? ParseLifetime(string text)
    {
        if (text.Length < 2 || !int.TryParse(text[..^1], NumberStyles.None, CultureInfo.InvariantCulture, out var count) || count == 0)
            return null;

        return text[^1] switch
        {
            's' => TimeSpan.FromSeconds(count),
            'm' => TimeSpan.FromMinutes(count),
            'h' => TimeSpan.FromHours(count),
            'd' => TimeSpan.FromDays(count),
            _ => null,
        };
    }

    private static string Part(object json) => DevelopmentSecrets.Base64Url(JsonSerializer.SerializeToUtf8Bytes(json, Plain));
}
