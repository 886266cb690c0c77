using Npgsql;

namespace AiAspire.Core.Ledger;

/// <summary>
/// The database role that writes for all tenants at once and can read nothing of what it wrote: what waits at the same moment goes in
/// one commit, whoever's it is. Its rights stand in the Migrator's <c>security.sql</c>.
/// </summary>
public sealed class LedgerRole(NpgsqlDataSource dataSource)
{
    /// <summary>Runs the statements as one transaction in one round trip.</summary>
    public async Task ExecuteAsync(IEnumerable<NpgsqlBatchCommand> statements, CancellationToken cancellationToken)
    {
        await using var connection = await dataSource.OpenConnectionAsync(cancellationToken);
        // One Sync at the end makes the batch one implicit transaction (PostgreSQL manual, "Pipelining").
        await using var batch = new NpgsqlBatch(connection);
        foreach (var statement in statements)
            batch.BatchCommands.Add(statement);
        await batch.ExecuteNonQueryAsync(cancellationToken);
    }
}
