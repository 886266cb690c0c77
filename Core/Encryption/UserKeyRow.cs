using Npgsql;

namespace AiAspire.Core.Encryption;

/// <summary>A row of <c>keystore.user_keys</c>: one version of a user's key, sealed by the tenant key whose version the box names.</summary>
internal sealed record UserKeyRow(Guid TenantId, Guid UserId, int Version, byte[] Wrapped, bool Active)
{
    public const string Columns = "tenant_id, user_id, key_version, wrapped_key, active_from <= now()";

    public int TenantKeyVersion => SealedBox.KeyVersion(Wrapped);

    public static UserKeyRow Read(NpgsqlDataReader row)
        => new(row.GetGuid(0), row.GetGuid(1), row.GetInt32(2), row.GetFieldValue<byte[]>(3), row.GetBoolean(4));

    public byte[] Open(byte[] tenantKey) => SealedBox.Open(tenantKey, Wrapped, Place(TenantId, UserId, Version));

    public static byte[] Seal(byte[] tenantKey, int tenantKeyVersion, Guid tenantId, Guid userId, int version, byte[] key)
        => SealedBox.Seal(tenantKey, key, Place(tenantId, userId, version), tenantKeyVersion);

    private static byte[] Place(Guid tenantId, Guid userId, int version) => AssociatedData.OfKey(tenantId, "user_keys", userId, version);
}
