using System.Text.Json.Nodes;
using AiAspire.Core.Audit;
using Microsoft.Extensions.Logging;
using Npgsql;
using NpgsqlTypes;

namespace AiAspire.Core.Encryption;

/// <summary>
/// Brings key store and tombstone file together before anything is read: keys that a restored backup brought back are destroyed again,
/// and tombstones that the file lacks are written to it.
/// </summary>
public sealed partial class TombstoneReplay
{
    private const int BatchSize = 1_000;
    /// <summary>Users that one audit entry names.</summary>
    private const int UsersPerEntry = 100;
    private readonly TombstoneFile _file;
    private readonly KeyAudit _audit;
    private readonly ILogger<TombstoneReplay> _logger;

    internal TombstoneReplay(TombstoneFile file, KeyAudit audit, ILogger<TombstoneReplay> logger)
    {
        _file = file;
        _audit = audit;
        _logger = logger;
    }

    /// <summary>Safe to run again, and by several at once. Without a file only the table's own tombstones are applied.</summary>
    /// <param name="keyStore">As the keys role or the owner.</param>
    /// <param name="cancellationToken">Stops between two batches.</param>
    /// <returns>How many key versions of erased users were there and are destroyed again.</returns>
    /// <exception cref="InvalidOperationException">The file was altered.</exception>
    public async Task<int> RunAsync(NpgsqlDataSource keyStore, CancellationToken cancellationToken)
    {
        await using var connection = await keyStore.OpenConnectionAsync(cancellationToken);
        if (_file.IsConfigured)
            await MergeAsync(connection, cancellationToken);
        else
            LogNoFile(_logger);

        await using var select = KeyStoreBatch.OfAll(connection)
            .Add("SELECT DISTINCT k.tenant_id, k.user_id FROM keystore.user_keys k JOIN keystore.tombstones t USING (tenant_id, user_id) ORDER BY 1, 2");
        var returned = await select.ReadLastAsync(row => (Tenant: row.GetGuid(0), User: row.GetGuid(1)), cancellationToken);
        var destroyed = 0;
        foreach (var ofTenant in returned.GroupBy(r => r.Tenant, r => r.User))
            foreach (var users in ofTenant.Chunk(UsersPerEntry))
                destroyed += await DestroyAsync(connection, ofTenant.Key, users, cancellationToken);
        if (destroyed > 0)
            LogDestroyed(_logger, destroyed);
        return destroyed;
    }

    private Task<int> DestroyAsync(NpgsqlConnection connection, Guid tenantId, Guid[] users, CancellationToken cancellationToken)
        => _audit.RecordAsync(
            new KeyOperation(tenantId, AuditActions.TombstonesReplay, "tenant", tenantId.ToString())
            {
                Details = new JsonObject { ["users"] = new JsonArray([.. users.Select(u => (JsonNode)u.ToString())]) },
            },
            async token =>
            {
                // Notified before the delete commits is notified at the commit: running replicas forget what they hold.
                await using var delete = KeyStoreBatch.OfAll(connection)
                    .Add("SELECT pg_notify($1, $2)", KeyStoreBatch.Text(KeyChanges.Channel), KeyStoreBatch.Text(KeyChanges.All))
                    .Add(
                        """
                        DELETE FROM keystore.user_keys k USING keystore.tombstones t
                        WHERE k.tenant_id = $1 AND k.user_id = ANY($2) AND t.tenant_id = k.tenant_id AND t.user_id = k.user_id
                        """,
                        KeyStoreBatch.Id(tenantId), Array(NpgsqlDbType.Uuid, users));
                await delete.ExecuteNonQueryAsync(token);
                var versions = (int)delete.BatchCommands[^1].Rows;
                return (versions, new JsonObject { ["versions"] = versions });
            },
            cancellationToken);

    private async Task MergeAsync(NpgsqlConnection connection, CancellationToken cancellationToken)
    {
        var inFile = await _file.ReadAsync(cancellationToken);
        foreach (var chunk in inFile.Chunk(BatchSize))
        {
            await using var insert = KeyStoreBatch.OfAll(connection).Add(
                """
                INSERT INTO keystore.tombstones (tenant_id, user_id, destroyed_at)
                SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[]) ON CONFLICT DO NOTHING
                """,
                Array(NpgsqlDbType.Uuid, chunk.Select(t => t.TenantId).ToArray()),
                Array(NpgsqlDbType.Uuid, chunk.Select(t => t.UserId).ToArray()),
                Array(NpgsqlDbType.TimestampTz, chunk.Select(t => t.DestroyedAt.UtcDateTime).ToArray()));
            await insert.ExecuteNonQueryAsync(cancellationToken);
        }

        var known = inFile.Select(t => (t.TenantId, t.UserId)).ToHashSet();
        await using var select = KeyStoreBatch.OfAll(connection).Add("SELECT tenant_id, user_id, destroyed_at FROM keystore.tombstones");
        var inTable = await select.ReadLastAsync(row => new Tombstone(row.GetGuid(0), row.GetGuid(1), row.GetFieldValue<DateTimeOffset>(2)), cancellationToken);
        var missing = inTable.Where(t => !known.Contains((t.TenantId, t.UserId))).ToList();
        if (missing.Count == 0)
            return;
        LogExported(_logger, missing.Count);
        await _file.AppendAsync(missing, cancellationToken);
    }

    private static NpgsqlParameter Array<T>(NpgsqlDbType element, T[] values) => new() { NpgsqlDbType = NpgsqlDbType.Array | element, Value = values };

    [LoggerMessage(Level = LogLevel.Warning, Message = "Encryption:TombstonesPath is not set: nobody can be erased, and a restored key store brings destroyed keys back")]
    private static partial void LogNoFile(ILogger logger);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Count} key versions of erased users were in the key store, as after restoring a backup; they are destroyed again")]
    private static partial void LogDestroyed(ILogger logger, int count);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Count} tombstones were missing in the file and are appended to it")]
    private static partial void LogExported(ILogger logger, int count);
}
