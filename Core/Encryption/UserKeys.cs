using System.Collections.Concurrent;
using System.Security.Cryptography;
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
public sealed class UserKeys(NpgsqlDataSource keyStore, IMasterKey masterKey, TimeProvider time, IOptions<EncryptionOptions> options)
{
    private const string SetTenantSql = "SELECT set_config('app.tenant_id', $1, true)";

    private readonly ConcurrentDictionary<(Guid Tenant, Guid User), CachedKey> _cache = new();

    /// <summary>The user's cipher, creating tenant and user keys on first use. Cached for <see cref="EncryptionOptions.KeyCacheSeconds"/>.</summary>
    /// <exception cref="UserKeyDestroyedException">The user was erased.</exception>
    public ValueTask<ContentCipher> GetAsync(Guid tenantId, Guid userId, CancellationToken cancellationToken)
        => _cache.TryGetValue((tenantId, userId), out var cached) && cached.Until > time.GetUtcNow()
            ? ValueTask.FromResult(cached.Cipher)
            : LoadAsync(tenantId, userId, cancellationToken);

    private async ValueTask<ContentCipher> LoadAsync(Guid tenantId, Guid userId, CancellationToken cancellationToken)
    {
        var tenantKey = await TenantKeyAsync(tenantId, cancellationToken);
        var key = await UserKeyAsync(tenantId, userId, tenantKey, cancellationToken);
        var cipher = new ContentCipher(tenantId, key);
        CryptographicOperations.ZeroMemory(tenantKey);
        if (_cache.Count >= options.Value.KeyCacheEntries)
            DropExpired();
        _cache[(tenantId, userId)] = new CachedKey(cipher, time.GetUtcNow().AddSeconds(options.Value.KeyCacheSeconds));
        return cipher;
    }

    private async Task<byte[]> TenantKeyAsync(Guid tenantId, CancellationToken cancellationToken)
    {
        var place = Place(tenantId, "tenant_keys", tenantId);
        var candidate = RandomNumberGenerator.GetBytes(SealedBox.KeyBytes);
        var wrapped = await InsertOrReadAsync(
            tenantId,
            "INSERT INTO keystore.tenant_keys (tenant_id, wrapped_key, master_key_id, created_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
            "SELECT wrapped_key FROM keystore.tenant_keys WHERE tenant_id = $1",
            [new NpgsqlParameter<Guid> { TypedValue = tenantId }],
            async () =>
            [
                new NpgsqlParameter<byte[]> { TypedValue = await masterKey.WrapAsync(candidate, place, cancellationToken) },
                new NpgsqlParameter<string> { TypedValue = masterKey.KeyId },
                new NpgsqlParameter<DateTime> { TypedValue = time.GetUtcNow().UtcDateTime },
            ],
            cancellationToken);
        try
        {
            return await masterKey.UnwrapAsync(wrapped, place, cancellationToken);
        }
        catch (CryptographicException e)
        {
            throw new InvalidOperationException(
                $"The key of tenant {tenantId} was wrapped by another master key than '{masterKey.KeyId}'. Give back the master key that this data was written with.", e);
        }
    }

    private async Task<byte[]> UserKeyAsync(Guid tenantId, Guid userId, byte[] tenantKey, CancellationToken cancellationToken)
    {
        var place = Place(tenantId, "user_keys", userId);
        var candidate = SealedBox.Seal(tenantKey, RandomNumberGenerator.GetBytes(SealedBox.KeyBytes), place);
        // A tombstone is kept for ever, so a user whose key was destroyed never gets another under the same id.
        var wrapped = await InsertOrReadAsync(
            tenantId,
            """
            INSERT INTO keystore.user_keys (tenant_id, user_id, wrapped_key, created_at) SELECT $1, $2, $3, $4
            WHERE NOT EXISTS (SELECT FROM keystore.tombstones t WHERE t.tenant_id = $1 AND t.user_id = $2) ON CONFLICT DO NOTHING
            """,
            """
            SELECT k.wrapped_key FROM keystore.user_keys k WHERE k.tenant_id = $1 AND k.user_id = $2
            AND NOT EXISTS (SELECT FROM keystore.tombstones t WHERE t.tenant_id = $1 AND t.user_id = $2)
            """,
            [new NpgsqlParameter<Guid> { TypedValue = tenantId }, new NpgsqlParameter<Guid> { TypedValue = userId }],
            () => Task.FromResult<NpgsqlParameter[]>(
            [
                new NpgsqlParameter<byte[]> { TypedValue = candidate },
                new NpgsqlParameter<DateTime> { TypedValue = time.GetUtcNow().UtcDateTime },
            ]),
            cancellationToken) ?? throw new UserKeyDestroyedException(userId);
        return SealedBox.Open(tenantKey, wrapped, place);
    }

    /// <summary>Reads; if nothing is there, inserts and reads again, so that of two first writers both get the same key.</summary>
    private async Task<byte[]?> InsertOrReadAsync(
        Guid tenantId, string insert, string select, NpgsqlParameter[] key, Func<Task<NpgsqlParameter[]>> values, CancellationToken cancellationToken)
    {
        await using var connection = await keyStore.OpenConnectionAsync(cancellationToken);
        return await ReadAsync() ?? await InsertAsync();

        async Task<byte[]?> InsertAsync()
        {
            await using var batch = ScopedBatch();
            var command = new NpgsqlBatchCommand(insert);
            foreach (var parameter in key.Concat(await values()))
                command.Parameters.Add(parameter.Clone());
            batch.BatchCommands.Add(command);
            await batch.ExecuteNonQueryAsync(cancellationToken);
            return await ReadAsync();
        }

        async Task<byte[]?> ReadAsync()
        {
            await using var batch = ScopedBatch();
            var command = new NpgsqlBatchCommand(select);
            foreach (var parameter in key)
                command.Parameters.Add(parameter.Clone());
            batch.BatchCommands.Add(command);
            await using var reader = await batch.ExecuteReaderAsync(cancellationToken);
            await reader.NextResultAsync(cancellationToken);
            return await reader.ReadAsync(cancellationToken) ? reader.GetFieldValue<byte[]>(0) : null;
        }

        NpgsqlBatch ScopedBatch() => new(connection)
        {
            BatchCommands =
            {
                new NpgsqlBatchCommand(SetTenantSql) { Parameters = { new NpgsqlParameter<string> { TypedValue = tenantId.ToString() } } },
            },
        };
    }

    private void DropExpired()
    {
        var now = time.GetUtcNow();
        foreach (var (id, key) in _cache)
        {
            if (key.Until <= now)
                _cache.TryRemove(id, out _);
        }
    }

    private static byte[] Place(Guid tenantId, string table, Guid rowId)
    {
        var bytes = new byte[AssociatedData.MaxBytes];
        return bytes[..AssociatedData.Write(bytes, tenantId, new ContentPlace(table, "wrapped_key", rowId))];
    }

    private sealed record CachedKey(ContentCipher Cipher, DateTimeOffset Until);
}
