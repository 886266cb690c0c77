using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace AiAspire.Core.Encryption;

/// <summary>Says for ever that a user's key was destroyed, and when.</summary>
public readonly record struct Tombstone(Guid TenantId, Guid UserId, DateTimeOffset DestroyedAt);

/// <summary>
/// A line of the tombstone file. Either a MAC key, wrapped by the master key and bound to its id:
/// <c>{"mac_key":"6f…","master_key_id":"local:…","wrapped":"BASE64"}</c>, or a tombstone with its HMAC-SHA256 under one of those:
/// <c>{"tenant_id":"…","user_id":"…","destroyed_at":"2026-…","mac_key":"6f…","mac":"BASE64"}</c>.
/// </summary>
internal sealed record TombstoneLine
{
    private static readonly JsonSerializerOptions Json = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
        UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
    };

    public Guid? TenantId { get; init; }

    public Guid? UserId { get; init; }

    public string? DestroyedAt { get; init; }

    public required string MacKey { get; init; }

    public byte[]? Mac { get; init; }

    public string? MasterKeyId { get; init; }

    public byte[]? Wrapped { get; init; }

    public static TombstoneLine Parse(string line) => JsonSerializer.Deserialize<TombstoneLine>(line, Json) ?? throw new JsonException("null is no line.");

    public string Write() => JsonSerializer.Serialize(this, Json) + "\n";

    /// <summary>What is bound to a wrapped MAC key, so that no other wrapped key passes for one.</summary>
    public static byte[] MacKeyPlace(string id) => Encoding.UTF8.GetBytes($"aiaspire tombstone mac key {id}");

    public static TombstoneLine Of(Tombstone tombstone, string macKeyId, byte[] macKey)
    {
        var at = tombstone.DestroyedAt.UtcDateTime.ToString("O");
        return new TombstoneLine
        {
            TenantId = tombstone.TenantId,
            UserId = tombstone.UserId,
            DestroyedAt = at,
            MacKey = macKeyId,
            Mac = ComputeMac(macKey, tombstone.TenantId, tombstone.UserId, at),
        };
    }

    /// <summary>The tombstone, if the line is one and its MAC is right; else null.</summary>
    public Tombstone? Verify(byte[] macKey)
        => TenantId is { } tenant && UserId is { } user && DestroyedAt is { } at && Mac is { } mac
            && CryptographicOperations.FixedTimeEquals(mac, ComputeMac(macKey, tenant, user, at))
                ? new Tombstone(tenant, user, DateTimeOffset.Parse(at))
                : null;

    private static byte[] ComputeMac(byte[] key, Guid tenant, Guid user, string at)
        => HMACSHA256.HashData(key, Encoding.UTF8.GetBytes($"tombstone\n{tenant}\n{user}\n{at}"));
}
