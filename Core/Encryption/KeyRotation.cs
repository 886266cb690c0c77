using System.Security.Cryptography;
using System.Text.Json.Nodes;
using AiAspire.Core.Audit;
using AiAspire.Core.Data;
using Microsoft.Extensions.Options;
using Npgsql;

namespace AiAspire.Core.Encryption;

/// <summary>
/// Rotation at each level. Content is never rewritten: a ciphertext names the key version that made it, and old versions are kept for
/// reading. Everything here may be stopped and run again, and runs while the system serves.
/// </summary>
public sealed class KeyRotation
{
    private const int DefaultBatch = 100;
    // For a rotation that waits between taking its time and committing.
    private const int MarginSeconds = 5;

    private readonly NpgsqlDataSource _keyStore;
    private readonly IMasterKey _masterKey;
    private readonly MasterKeyUses _uses;
    private readonly TenantKeys _tenantKeys;
    private readonly DataProtectionKeys _dataProtection;
    private readonly TombstoneFile _tombstones;
    private readonly KeyAudit _audit;
    private readonly EncryptionOptions _options;

    internal KeyRotation(
        NpgsqlDataSource keyStore,
        IMasterKey masterKey,
        MasterKeyUses uses,
        TenantKeys tenantKeys,
        DataProtectionKeys dataProtection,
        TombstoneFile tombstones,
        KeyAudit audit,
        IOptions<EncryptionOptions> options)
    {
        _keyStore = keyStore;
        _masterKey = masterKey;
        _uses = uses;
        _tenantKeys = tenantKeys;
        _dataProtection = dataProtection;
        _tombstones = tombstones;
        _audit = audit;
        _options = options.Value;
    }

    /// <summary>
    /// Wraps anew, under the current master key, every tenant key (and Data Protection key, and the key that authenticates the tombstone
    /// file) that an earlier one wrapped. When it has ended without error, the earlier master key is needed only for old key-store backups.
    /// </summary>
    /// <param name="batchSize">Rows read at a time; the next run goes on with what is left.</param>
    /// <param name="cancellationToken">Stops between two keys.</param>
    /// <returns>How many tenant keys were wrapped anew.</returns>
    /// <exception cref="InvalidOperationException">Some keys did not open; all others are done.</exception>
    public async Task<int> RewrapAsync(int batchSize = DefaultBatch, CancellationToken cancellationToken = default)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(batchSize);
        var currentId = await _masterKey.CurrentKeyIdAsync(cancellationToken);
        return await _audit.RecordAsync(
            new KeyOperation(TenantScope.PlatformTenantId, AuditActions.MasterKeyRewrap, "master_key", currentId),
            async token =>
            {
                await using var connection = await _keyStore.OpenConnectionAsync(token);
                await _uses.NoteAsync(connection, currentId, token);
                await _tombstones.RewrapAsync(currentId, token);
                var dataProtection = await _dataProtection.RewrapAsync(connection, currentId, token);
                var tenantKeys = await RewrapTenantKeysAsync(connection, currentId, batchSize, token);
                return (tenantKeys, new JsonObject { ["tenant_keys"] = tenantKeys, ["data_protection_keys"] = dataProtection });
            },
            cancellationToken);
    }

    private async Task<int> RewrapTenantKeysAsync(NpgsqlConnection connection, string currentId, int batchSize, CancellationToken cancellationToken)
    {
        var rewrapped = 0;
        var failed = new List<string>();
        Exception? firstFailure = null;
        for (var (tenant, version) = (Guid.Empty, 0); ;)
        {
            await using var select = KeyStoreBatch.OfAll(connection).Add(
                $"""
                SELECT {TenantKeyRow.Columns} FROM keystore.tenant_keys
                WHERE master_key_id <> $1 AND (tenant_id, key_version) > ($2, $3) ORDER BY tenant_id, key_version LIMIT $4
                """,
                KeyStoreBatch.Text(currentId), KeyStoreBatch.Id(tenant), KeyStoreBatch.Number(version), KeyStoreBatch.Number(batchSize));
            var rows = await select.ReadLastAsync(TenantKeyRow.Read, cancellationToken);
            if (rows.Count == 0)
                break;
            foreach (var row in rows)
            {
                try
                {
                    rewrapped += await RewrapAsync(connection, row, currentId, cancellationToken);
                }
                catch (CryptographicException e)
                {
                    failed.Add($"{row.TenantId} version {row.Version} (master key '{row.Wrapped.MasterKeyId}')");
                    firstFailure ??= e;
                }
            }

            (tenant, version) = (rows[^1].TenantId, rows[^1].Version);
        }

        return failed.Count == 0
            ? rewrapped
            : throw new InvalidOperationException($"{failed.Count} tenant keys did not open and were left as they are: {string.Join(", ", failed.Take(10))}.", firstFailure);
    }

    /// <summary>
    /// Gives a user a new key for new content. It is used once every replica has had to read it: after
    /// <see cref="EncryptionOptions.KeyCacheSeconds"/>, which must therefore be the same everywhere, and 5 s.
    /// </summary>
    /// <param name="tenantId">The user's tenant.</param>
    /// <param name="userId">The user.</param>
    /// <param name="by">Who asked for it; stands in the audit log.</param>
    /// <param name="cancellationToken">Cancels.</param>
    /// <returns>The new version.</returns>
    /// <exception cref="UserKeyDestroyedException">The user was erased.</exception>
    /// <exception cref="InvalidOperationException">The user has no key yet.</exception>
    public Task<int> RotateUserKeyAsync(Guid tenantId, Guid userId, AuditActor by, CancellationToken cancellationToken)
        => _audit.RecordAsync(
            new KeyOperation(tenantId, AuditActions.UserKeyRotate, "user", userId.ToString()) { By = by },
            async token =>
            {
                var version = await RotateUserKeyAsync(tenantId, userId, token);
                return (version, new JsonObject { ["version"] = version });
            },
            cancellationToken);

    private async Task<int> RotateUserKeyAsync(Guid tenantId, Guid userId, CancellationToken cancellationToken)
    {
        await using var connection = await _keyStore.OpenConnectionAsync(cancellationToken);
        var tenantRow = await _tenantKeys.NewestAsync(connection, tenantId, cancellationToken);
        var tenantKey = await _tenantKeys.UnwrapAsync(tenantRow, cancellationToken);
        await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
        await using var select = KeyStoreBatch.Of(connection, tenantId)
            .LockUser(tenantId, userId)
            .Add(
                """
                SELECT (SELECT coalesce(max(key_version), 0) FROM keystore.user_keys WHERE tenant_id = $1 AND user_id = $2),
                       EXISTS (SELECT FROM keystore.tombstones WHERE tenant_id = $1 AND user_id = $2)
                """,
                KeyStoreBatch.Id(tenantId), KeyStoreBatch.Id(userId));
        var (newest, destroyed) = (await select.ReadLastAsync(row => (row.GetInt32(0), row.GetBoolean(1)), cancellationToken))[0];
        if (destroyed)
            throw new UserKeyDestroyedException(userId);
        if (newest == 0)
            throw new InvalidOperationException($"User {userId} has no key to rotate.");
        var key = RandomNumberGenerator.GetBytes(SealedBox.KeyBytes);
        var wrapped = UserKeyRow.Seal(tenantKey, tenantRow.Version, tenantId, userId, newest + 1, key);
        CryptographicOperations.ZeroMemory(key);
        await using var insert = new NpgsqlBatch(connection, transaction)
            .Add(
                """
                INSERT INTO keystore.user_keys (tenant_id, user_id, key_version, wrapped_key, tenant_key_version, active_from, created_at)
                VALUES ($1, $2, $3, $4, $5, now() + make_interval(secs => $6), now())
                """,
                KeyStoreBatch.Id(tenantId), KeyStoreBatch.Id(userId), KeyStoreBatch.Number(newest + 1), KeyStoreBatch.Bytes(wrapped),
                KeyStoreBatch.Number(tenantRow.Version), KeyStoreBatch.Number(_options.KeyCacheSeconds + MarginSeconds))
            .Add("SELECT pg_notify($1, $2)", KeyStoreBatch.Text(KeyChanges.Channel), KeyStoreBatch.Text(KeyChanges.Payload(tenantId, userId)));
        await insert.ExecuteNonQueryAsync(cancellationToken);
        await transaction.CommitAsync(cancellationToken);
        return newest + 1;
    }

    /// <summary>
    /// Gives a tenant a new key and seals the tenant's user keys anew under it. Old versions of the tenant key stay: an older backup
    /// of <c>user_keys</c> needs them.
    /// </summary>
    /// <returns>The new version.</returns>
    public async Task<int> RotateTenantKeyAsync(Guid tenantId, CancellationToken cancellationToken)
    {
        await using var connection = await _keyStore.OpenConnectionAsync(cancellationToken);
        var version = (await _tenantKeys.NewestAsync(connection, tenantId, cancellationToken)).Version + 1;
        await _tenantKeys.InsertAsync(connection, tenantId, version, cancellationToken);
        await RewrapUserKeysAsync(tenantId, cancellationToken: cancellationToken);
        return version;
    }

    /// <summary>Seals anew, under the tenant's newest key, every user key that an older one sealed; goes on where an earlier run stopped.</summary>
    /// <returns>How many user keys were sealed anew.</returns>
    public Task<int> RewrapUserKeysAsync(Guid tenantId, int batchSize = DefaultBatch, CancellationToken cancellationToken = default)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(batchSize);
        return _audit.RecordAsync(
            new KeyOperation(tenantId, AuditActions.UserKeysRewrap, "tenant", tenantId.ToString()),
            async token =>
            {
                var keys = await ResealUserKeysAsync(tenantId, batchSize, token);
                return (keys, new JsonObject { ["user_keys"] = keys });
            },
            cancellationToken);
    }

    private async Task<int> ResealUserKeysAsync(Guid tenantId, int batchSize, CancellationToken cancellationToken)
    {
        await using var connection = await _keyStore.OpenConnectionAsync(cancellationToken);
        var tenantRows = await TenantKeys.ReadAsync(connection, tenantId, cancellationToken);
        if (tenantRows is not [.., var newest])
            return 0;
        var newestKey = await _tenantKeys.UnwrapAsync(newest, cancellationToken);
        for (var rewrapped = 0; ;)
        {
            await using var select = KeyStoreBatch.Of(connection, tenantId).Add(
                $"SELECT {UserKeyRow.Columns} FROM keystore.user_keys WHERE tenant_id = $1 AND tenant_key_version < $2 ORDER BY user_id, key_version LIMIT $3",
                KeyStoreBatch.Id(tenantId), KeyStoreBatch.Number(newest.Version), KeyStoreBatch.Number(batchSize));
            var rows = await select.ReadLastAsync(UserKeyRow.Read, cancellationToken);
            if (rows.Count == 0)
                return rewrapped;
            await using var update = KeyStoreBatch.Of(connection, tenantId);
            foreach (var row in rows)
            {
                var key = row.Open(await _tenantKeys.UnwrapAsync(tenantRows.Single(t => t.Version == row.TenantKeyVersion), cancellationToken));
                var wrapped = UserKeyRow.Seal(newestKey, newest.Version, tenantId, row.UserId, row.Version, key);
                CryptographicOperations.ZeroMemory(key);
                update.Add(
                    """
                    UPDATE keystore.user_keys SET wrapped_key = $4, tenant_key_version = $5
                    WHERE tenant_id = $1 AND user_id = $2 AND key_version = $3 AND wrapped_key = $6
                    """,
                    KeyStoreBatch.Id(tenantId), KeyStoreBatch.Id(row.UserId), KeyStoreBatch.Number(row.Version), KeyStoreBatch.Bytes(wrapped),
                    KeyStoreBatch.Number(newest.Version), KeyStoreBatch.Bytes(row.Wrapped));
            }

            await update.ExecuteNonQueryAsync(cancellationToken);
            rewrapped += rows.Count;
        }
    }

    private Task<int> RewrapAsync(NpgsqlConnection connection, TenantKeyRow row, string currentId, CancellationToken cancellationToken)
        => _audit.RecordAsync(
            new KeyOperation(row.TenantId, AuditActions.TenantKeyRewrap, "tenant", row.TenantId.ToString())
            {
                Details = new JsonObject { ["version"] = row.Version, ["from"] = row.Wrapped.MasterKeyId, ["to"] = currentId },
            },
            async token => (await RewrapAsync(connection, row, token), (JsonObject?)null),
            cancellationToken);

    private async Task<int> RewrapAsync(NpgsqlConnection connection, TenantKeyRow row, CancellationToken cancellationToken)
    {
        var key = await _masterKey.UnwrapAsync(row.Wrapped, row.Place, cancellationToken);
        var wrapped = await _masterKey.WrapAsync(key, row.Place, cancellationToken);
        CryptographicOperations.ZeroMemory(key);
        await using var update = KeyStoreBatch.OfAll(connection).Add(
            """
            UPDATE keystore.tenant_keys SET wrapped_key = $3, master_key_id = $4
            WHERE tenant_id = $1 AND key_version = $2 AND wrapped_key = $5
            """,
            KeyStoreBatch.Id(row.TenantId), KeyStoreBatch.Number(row.Version), KeyStoreBatch.Bytes(wrapped.Bytes),
            KeyStoreBatch.Text(wrapped.MasterKeyId), KeyStoreBatch.Bytes(row.Wrapped.Bytes));
        return await update.ExecuteNonQueryAsync(cancellationToken);
    }
}
