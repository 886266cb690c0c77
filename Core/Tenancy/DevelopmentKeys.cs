using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text;

namespace AiAspire.Core.Tenancy;

/// <summary>
/// The further keys of the development seed, derived from the one that the AppHost keeps (HMAC-SHA-256), so that tests and tools can
/// tell them without another file. Only the development seed writes them.
/// </summary>
public static class DevelopmentKeys
{
    /// <summary>The key of one user of the seed.</summary>
    public static string User(string developmentKey, string user) => Derive(developmentKey, "user:" + user);

    /// <summary>The <c>act_as_user</c> key of one tenant of the seed.</summary>
    public static string Tenant(string developmentKey, string tenant) => Derive(developmentKey, "tenant:" + tenant);

    private static string Derive(string developmentKey, string purpose)
        => ApiKeyFormat.Prefix + "dev-" + Base64Url.EncodeToString(HMACSHA256.HashData(Encoding.UTF8.GetBytes(developmentKey), Encoding.UTF8.GetBytes(purpose)));
}
