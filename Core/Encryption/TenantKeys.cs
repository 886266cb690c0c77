using System.Collections.Concurrent;
using System.Security.Cryptography;
using System.Text.Json.Nodes;
using AiAspire.Core.Audit;
using Microsoft.Extensions.Options;
using Npgsql;

namespace AiAspire.Core.Encryption;

/// <summary>A row of <c>keystore.tenant_keys</c>.</summary>
internal sealed record TenantKeyRow(Guid TenantId, int Version, WrappedKey Wrapped)
{
    public const string Columns = "tenant_id, key_version, wrapped_key, master_key_id";

    public byte[] Place => AssociatedData.OfKey(TenantId, "tenant_keys", TenantId, Version);

    public static TenantKeyRow Read(NpgsqlDataReader row)
        => new(row.GetGuid(0), row.GetInt32(1), new WrappedKey(row.GetString(3), row.GetFieldValue<byte[]>(2)));
}

/// <summary>
/// Tenant keys, which wrap user keys. Unwrapped ones stay in memory as long as user keys do, so that a slow key management system is
/// asked once per tenant and not once per user.
/// </summary>
internal sealed class TenantKeys(IMasterKey masterKey, MasterKeyUses uses, KeyAudit audit, TimeProvider time, IOptions<EncryptionOptions> options)
{
    public const string SelectSql = $"SELECT {TenantKeyRow.Columns} FROM keystore.tenant_keys WHERE tenant_id = $1 ORDER BY key_version";

    private readonly ConcurrentDictionary<(Guid Tenant, int Version), (byte[] Key, DateTimeOffset Until)> _cache = new();

    /// <summary>Unwraps a tenant's key.</summary>
    /// <exception cref="InvalidOperationException">The master key that wrapped it is not given any more, or the row was altered.</exception>
    public async Task<byte[]> UnwrapAsync(TenantKeyRow row, CancellationToken cancellationToken)
    {
        var now = time.GetUtcNow();
        if (_cache.TryGetValue((row.TenantId, row.Version), out var cached) && cached.Until > now)
            return cached.Key;
        try
        {
            var key = await masterKey.UnwrapAsync(row.Wrapped, row.Place, cancellationToken);
            if (_cache.Count >= options.Value.KeyCacheEntries)
                _cache.Clear();
            _cache[(row.TenantId, row.Version)] = (key, now.AddSeconds(options.Value.KeyCacheSeconds));
            return key;
        }
        catch (CryptographicException e)
        {
            throw new InvalidOperationException(
                $"Version {row.Version} of the key of tenant {row.TenantId} does not open. Give back the master key that this data was written with. {e.Message}", e);
        }
    }

    /// <summary>The tenant's newest key; the first one is made when there is none.</summary>
    public async Task<TenantKeyRow> NewestAsync(NpgsqlConnection connection, Guid tenantId, CancellationToken cancellationToken)
    {
        var rows = await ReadAsync(connection, tenantId, cancellationToken);
        if (rows.Count == 0)
        {
            // Two first writers make one key between them: whoever is later reads what the other wrote.
            await InsertAsync(connection, tenantId, 1, cancellationToken);
            rows = await ReadAsync(connection, tenantId, cancellationToken);
        }

        return rows[^1];
    }

    /// <summary>Makes a new version of the tenant's key. It does nothing when somebody else made that version meanwhile.</summary>
    public Task InsertAsync(NpgsqlConnection connection, Guid tenantId, int version, CancellationToken cancellationToken)
        => audit.RecordAsync(
            new KeyOperation(tenantId, version == 1 ? AuditActions.TenantKeyCreate : AuditActions.TenantKeyRotate, "tenant", tenantId.ToString())
            {
                Details = new JsonObject { ["version"] = version },
            },
            async token =>
            {
                var (made, masterKeyId) = await TryInsertAsync(connection, tenantId, version, token);
                return (made, new JsonObject { ["made"] = made, ["master_key"] = masterKeyId });
            },
            cancellationToken);

    private async Task<(bool Made, string MasterKeyId)> TryInsertAsync(NpgsqlConnection connection, Guid tenantId, int version, CancellationToken cancellationToken)
    {
        var key = RandomNumberGenerator.GetBytes(SealedBox.KeyBytes);
        var wrapped = await masterKey.WrapAsync(key, AssociatedData.OfKey(tenantId, "tenant_keys", tenantId, version), cancellationToken);
        CryptographicOperations.ZeroMemory(key);
        await uses.NoteAsync(connection, wrapped.MasterKeyId, cancellationToken);
        await using var batch = KeyStoreBatch.Of(connection, tenantId)
            .Add(
                """
                INSERT INTO keystore.tenant_keys (tenant_id, key_version, wrapped_key, master_key_id, created_at)
                VALUES ($1, $2, $3, $4, now()) ON CONFLICT DO NOTHING
                """,
                KeyStoreBatch.Id(tenantId), KeyStoreBatch.Number(version), KeyStoreBatch.Bytes(wrapped.Bytes), KeyStoreBatch.Text(wrapped.MasterKeyId));
        await batch.ExecuteNonQueryAsync(cancellationToken);
        return (batch.BatchCommands[^1].Rows == 1, wrapped.MasterKeyId);
    }

    public static async Task<List<TenantKeyRow>> ReadAsync(NpgsqlConnection connection, Guid tenantId, CancellationToken cancellationToken)
    {
        await using var batch = KeyStoreBatch.Of(connection, tenantId).Add(SelectSql, KeyStoreBatch.Id(tenantId));
        return await batch.ReadLastAsync(TenantKeyRow.Read, cancellationToken);
    }
}
