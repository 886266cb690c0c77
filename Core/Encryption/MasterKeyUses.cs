using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;
using AiAspire.Core.Audit;
using AiAspire.Core.Data;
using Npgsql;

namespace AiAspire.Core.Encryption;

/// <summary>
/// Remembers which master key was current since when, and has each change in the platform's audit chain. The entry is committed before the
/// row; should the process die between them, the next one writes the same entry (which does nothing) and the row.
/// </summary>
internal sealed class MasterKeyUses(KeyAudit audit)
{
    private const string LockName = "master_key_uses";
    private volatile string? _noted;

    /// <summary>Called with every id that is seen to be current; costs nothing while it stays the same.</summary>
    public async Task NoteAsync(NpgsqlConnection keyStore, string masterKeyId, CancellationToken cancellationToken)
    {
        if (_noted == masterKeyId)
            return;
        await using var transaction = await keyStore.BeginTransactionAsync(cancellationToken);
        await using var select = KeyStoreBatch.OfAll(keyStore)
            .Add("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", KeyStoreBatch.Text(LockName))
            .Add("SELECT use, master_key_id FROM keystore.master_key_uses ORDER BY use DESC LIMIT 1");
        var (use, last) = (await select.ReadLastAsync(row => (row.GetInt32(0), (string?)row.GetString(1)), cancellationToken)).FirstOrDefault();
        if (last != masterKeyId)
        {
            var change = new KeyOperation(TenantScope.PlatformTenantId, AuditActions.MasterKeyChanged, "master_key", masterKeyId)
            {
                Details = new JsonObject { ["from"] = last, ["use"] = use + 1 },
            };
            await audit.NoteAsync(change, EntryId(use + 1, masterKeyId), cancellationToken);
            await using var insert = new NpgsqlBatch(keyStore, transaction).Add(
                "INSERT INTO keystore.master_key_uses (use, master_key_id, since) VALUES ($1, $2, now())",
                KeyStoreBatch.Number(use + 1), KeyStoreBatch.Text(masterKeyId));
            await insert.ExecuteNonQueryAsync(cancellationToken);
        }

        await transaction.CommitAsync(cancellationToken);
        _noted = masterKeyId;
    }

    private static Guid EntryId(int use, string masterKeyId)
        => new(SHA256.HashData(Encoding.UTF8.GetBytes($"aiaspire master key use {use} {masterKeyId}")).AsSpan(0, 16), bigEndian: true);
}
