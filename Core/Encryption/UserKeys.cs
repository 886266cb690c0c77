using System.Collections.Concurrent;
using System.Security.Cryptography;
using System.Text.Json.Nodes;
using AiAspire.Core.Audit;
using Microsoft.Extensions.Options;
using Npgsql;

namespace AiAspire.Core.Encryption;

/// <summary>The key of a user has been destroyed: what was encrypted with it can never be read again.</summary>
public sealed class UserKeyDestroyedException(Guid userId)
    : Exception($"The key of user {userId} was destroyed; the content encrypted with it is erased.")
{
    public Guid UserId { get; } = userId;
}

/// <summary>
/// Content keys of users: master key → tenant key → user key, each wrapped by the one before. Wrapped keys live in the key store, a
/// database of its own, so that a backup of the content holds no key and destroying a row there erases the content everywhere.
/// </summary>
public sealed class UserKeys
{
    private readonly ConcurrentDictionary<(Guid Tenant, Guid User), CachedKey> _cache = new();
    private readonly NpgsqlDataSource _keyStore;
    private readonly TenantKeys _tenantKeys;
    private readonly TombstoneFile _tombstones;
    private readonly KeyAudit _audit;
    private readonly TimeProvider _time;
    private readonly EncryptionOptions _options;
    private long _drops;

    internal UserKeys(NpgsqlDataSource keyStore, TenantKeys tenantKeys, TombstoneFile tombstones, KeyAudit audit, TimeProvider time, IOptions<EncryptionOptions> options)
    {
        _keyStore = keyStore;
        _tenantKeys = tenantKeys;
        _tombstones = tombstones;
        _audit = audit;
        _time = time;
        _options = options.Value;
    }

    /// <summary>The user's cipher, creating tenant and user keys on first use. Cached for <see cref="EncryptionOptions.KeyCacheSeconds"/>.</summary>
    /// <exception cref="UserKeyDestroyedException">The user was erased.</exception>
    public ValueTask<ContentCipher> GetAsync(Guid tenantId, Guid userId, CancellationToken cancellationToken)
        => _cache.TryGetValue((tenantId, userId), out var cached) && cached.Until > _time.GetUtcNow()
            ? ValueTask.FromResult(cached.Cipher)
            : LoadAsync(tenantId, userId, cancellationToken);

    /// <summary>
    /// Erases what the user wrote: deletes every version of the key and sets the tombstone in one transaction, after the tombstone is on
    /// disk outside the key store. Other replicas are told; one that cannot be told uses the key for at most
    /// <see cref="EncryptionOptions.KeyCacheSeconds"/> more. May be repeated.
    /// </summary>
    /// <param name="tenantId">The user's tenant.</param>
    /// <param name="userId">The user.</param>
    /// <param name="by">Who asked for it; stands in the audit log.</param>
    /// <param name="cancellationToken">Cancels until the tombstone is on disk.</param>
    /// <exception cref="InvalidOperationException">No <see cref="EncryptionOptions.TombstonesPath"/> is set: the erasure would not outlive a restore.</exception>
    public async Task DestroyAsync(Guid tenantId, Guid userId, AuditActor by, CancellationToken cancellationToken)
    {
        _tombstones.ThrowIfNotConfigured();
        await _audit.RecordAsync(
            new KeyOperation(tenantId, AuditActions.UserKeyDestroy, "user", userId.ToString()) { By = by },
            async token => (true, new JsonObject { ["versions"] = await DestroyAsync(tenantId, userId, token) }),
            cancellationToken);
        Drop(tenantId, userId);
    }

    /// <summary>Whether the user was erased, as the key store has it now.</summary>
    public async Task<bool> IsDestroyedAsync(Guid tenantId, Guid userId, CancellationToken cancellationToken)
    {
        await using var connection = await _keyStore.OpenConnectionAsync(cancellationToken);
        await using var select = KeyStoreBatch.Of(connection, tenantId)
            .Add("SELECT 1 FROM keystore.tombstones WHERE tenant_id = $1 AND user_id = $2", KeyStoreBatch.Id(tenantId), KeyStoreBatch.Id(userId));
        return (await select.ReadLastAsync(row => row.GetInt32(0), cancellationToken)).Count > 0;
    }

    /// <exception cref="InvalidOperationException">No <see cref="EncryptionOptions.TombstonesPath"/> is set.</exception>
    public void ThrowIfCannotDestroy() => _tombstones.ThrowIfNotConfigured();

    /// <returns>How many versions of the key there were.</returns>
    private async Task<int> DestroyAsync(Guid tenantId, Guid userId, CancellationToken cancellationToken)
    {
        var tombstone = new Tombstone(tenantId, userId, _time.GetUtcNow());
        await using var connection = await _keyStore.OpenConnectionAsync(cancellationToken);
        await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
        await using var destroy = KeyStoreBatch.Of(connection, tenantId)
            .LockUser(tenantId, userId)
            .Add(
                "INSERT INTO keystore.tombstones (tenant_id, user_id, destroyed_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
                KeyStoreBatch.Id(tenantId), KeyStoreBatch.Id(userId), new NpgsqlParameter<DateTime> { TypedValue = tombstone.DestroyedAt.UtcDateTime })
            .Add("DELETE FROM keystore.user_keys WHERE tenant_id = $1 AND user_id = $2", KeyStoreBatch.Id(tenantId), KeyStoreBatch.Id(userId))
            .Add("SELECT pg_notify($1, $2)", KeyStoreBatch.Text(KeyChanges.Channel), KeyStoreBatch.Text(KeyChanges.Payload(tenantId, userId)));
        await destroy.ExecuteNonQueryAsync(cancellationToken);
        // Before the commit: a tombstone too many destroys what somebody asked to be destroyed; one too few brings it back.
        await _tombstones.AppendAsync([tombstone], cancellationToken);
        await transaction.CommitAsync(CancellationToken.None);
        return (int)destroy.BatchCommands[^2].Rows;
    }

    /// <summary>Forgets a user's cached key; what is being loaded now is used once and not kept.</summary>
    internal void Drop(Guid tenantId, Guid userId)
    {
        Interlocked.Increment(ref _drops);
        _cache.TryRemove((tenantId, userId), out _);
    }

    internal void DropAll()
    {
        Interlocked.Increment(ref _drops);
        _cache.Clear();
    }

    private async ValueTask<ContentCipher> LoadAsync(Guid tenantId, Guid userId, CancellationToken cancellationToken)
    {
        var drops = Interlocked.Read(ref _drops);
        // From before the read: KeyRotation counts on nobody using what was read longer ago than the cache's time.
        var until = _time.GetUtcNow().AddSeconds(_options.KeyCacheSeconds);
        var cipher = await ReadCipherAsync(tenantId, userId, cancellationToken);
        if (_cache.Count >= _options.KeyCacheEntries)
            DropExpired();
        var entry = new CachedKey(cipher, until);
        _cache[(tenantId, userId)] = entry;
        // Destroyed between the read and now: the notification may have come before there was an entry to drop.
        if (Interlocked.Read(ref _drops) != drops)
            _cache.TryRemove(new KeyValuePair<(Guid, Guid), CachedKey>((tenantId, userId), entry));
        return cipher;
    }

    private async Task<ContentCipher> ReadCipherAsync(Guid tenantId, Guid userId, CancellationToken cancellationToken)
    {
        await using var connection = await _keyStore.OpenConnectionAsync(cancellationToken);
        var (userRows, tenantRows) = await ReadRowsAsync(connection, tenantId, userId, cancellationToken);
        if (userRows.Count == 0)
        {
            await CreateAsync(connection, tenantId, userId, cancellationToken);
            (userRows, tenantRows) = await ReadRowsAsync(connection, tenantId, userId, cancellationToken);
        }

        var keys = new ContentKey[userRows.Count];
        for (var i = 0; i < keys.Length; i++)
        {
            var row = userRows[i];
            var tenantRow = tenantRows.Find(t => t.Version == row.TenantKeyVersion)
                ?? throw new InvalidOperationException($"The key store has no version {row.TenantKeyVersion} of the key of tenant {tenantId}.");
            keys[i] = new ContentKey(row.Version, row.Open(await _tenantKeys.UnwrapAsync(tenantRow, cancellationToken)));
        }

        // Read by a transaction that began before the first key's did, that key looks not yet active; there is no other then.
        return new ContentCipher(tenantId, (userRows.FindLast(r => r.Active) ?? userRows[0]).Version, keys);
    }

    /// <summary>Reads the tombstone last: whoever sees none has read keys that were alive.</summary>
    private static async Task<(List<UserKeyRow> User, List<TenantKeyRow> Tenant)> ReadRowsAsync(
        NpgsqlConnection connection, Guid tenantId, Guid userId, CancellationToken cancellationToken)
    {
        await using var batch = KeyStoreBatch.Of(connection, tenantId)
            .Add(
                $"SELECT {UserKeyRow.Columns} FROM keystore.user_keys WHERE tenant_id = $1 AND user_id = $2 ORDER BY key_version",
                KeyStoreBatch.Id(tenantId), KeyStoreBatch.Id(userId))
            .Add(TenantKeys.SelectSql, KeyStoreBatch.Id(tenantId))
            .Add("SELECT 1 FROM keystore.tombstones WHERE tenant_id = $1 AND user_id = $2", KeyStoreBatch.Id(tenantId), KeyStoreBatch.Id(userId));
        await using var reader = await batch.ExecuteReaderAsync(cancellationToken);
        await reader.NextResultAsync(cancellationToken);
        var user = await reader.RowsAsync(UserKeyRow.Read, cancellationToken);
        await reader.NextResultAsync(cancellationToken);
        var tenant = await reader.RowsAsync(TenantKeyRow.Read, cancellationToken);
        await reader.NextResultAsync(cancellationToken);
        return await reader.ReadAsync(cancellationToken) ? throw new UserKeyDestroyedException(userId) : (user, tenant);
    }

    private Task CreateAsync(NpgsqlConnection connection, Guid tenantId, Guid userId, CancellationToken cancellationToken)
        => _audit.RecordAsync(
            new KeyOperation(tenantId, AuditActions.UserKeyCreate, "user", userId.ToString()),
            async token =>
            {
                var made = await TryCreateAsync(connection, tenantId, userId, token);
                return (made, new JsonObject { ["made"] = made });
            },
            cancellationToken);

    /// <returns>False when somebody else made it first, or the user was erased.</returns>
    private async Task<bool> TryCreateAsync(NpgsqlConnection connection, Guid tenantId, Guid userId, CancellationToken cancellationToken)
    {
        const int First = 1;
        var tenantRow = await _tenantKeys.NewestAsync(connection, tenantId, cancellationToken);
        var key = RandomNumberGenerator.GetBytes(SealedBox.KeyBytes);
        var wrapped = UserKeyRow.Seal(await _tenantKeys.UnwrapAsync(tenantRow, cancellationToken), tenantRow.Version, tenantId, userId, First, key);
        CryptographicOperations.ZeroMemory(key);
        // A tombstone is kept for ever, so a user whose key was destroyed never gets another under the same id.
        await using var batch = KeyStoreBatch.Of(connection, tenantId)
            .LockUser(tenantId, userId)
            .Add(
                """
                INSERT INTO keystore.user_keys (tenant_id, user_id, key_version, wrapped_key, tenant_key_version, active_from, created_at)
                SELECT $1, $2, $3, $4, $5, now(), now()
                WHERE NOT EXISTS (SELECT FROM keystore.tombstones t WHERE t.tenant_id = $1 AND t.user_id = $2) ON CONFLICT DO NOTHING
                """,
                KeyStoreBatch.Id(tenantId), KeyStoreBatch.Id(userId), KeyStoreBatch.Number(First), KeyStoreBatch.Bytes(wrapped),
                KeyStoreBatch.Number(tenantRow.Version));
        await batch.ExecuteNonQueryAsync(cancellationToken);
        return batch.BatchCommands[^1].Rows == 1;
    }

    private void DropExpired()
    {
        var now = _time.GetUtcNow();
        foreach (var (id, key) in _cache)
        {
            if (key.Until <= now)
                _cache.TryRemove(id, out _);
        }
    }

    private sealed record CachedKey(ContentCipher Cipher, DateTimeOffset Until);
}
