using AiAspire.Core.Data;
using Npgsql;

namespace AiAspire.Core.Ledger;

/// <summary>
/// The database role that writes for all tenants at once and can read nothing of what it wrote. All that waits at the same moment goes in one
/// commit, whoever's it is and whatever it is: attempts that open beside calls that end. Its rights stand in the Migrator's <c>security.sql</c>.
/// </summary>
public sealed class LedgerRole
{
    private const int MaxBatch = 250;

    private readonly NpgsqlDataSource _dataSource;
    private readonly GroupWriter<(Kind Kind, object Entry)> _writer;

    public LedgerRole(NpgsqlDataSource dataSource, TimeProvider time)
    {
        _dataSource = dataSource;
        _writer = new GroupWriter<(Kind Kind, object Entry)>(
            MaxBatch,
            entries => TimedWrite.RunAsync(time, token => ExecuteAsync(entries.GroupBy(static e => e.Kind, static e => e.Entry).SelectMany(static kind => kind.Key.Statements(kind)), token)));
    }

    /// <summary>A kind of entries that share statements.</summary>
    /// <param name="statements">Those that write all of the entries given.</param>
    /// <returns>Writes one; returns when it is committed. What cannot be written fails alone.</returns>
    /// <exception cref="NpgsqlException">Of the function returned. The database did not answer, or not in time: it is not known whether the entry is committed.</exception>
    public Func<T, Task> Writes<T>(Func<IReadOnlyList<T>, IEnumerable<NpgsqlBatchCommand>> statements)
        where T : class
    {
        var kind = new Kind(entries => statements([.. entries.Cast<T>()]));
        return entry => _writer.WriteAsync((kind, entry));
    }

    /// <summary>Runs the statements as one transaction in one round trip.</summary>
    private async Task ExecuteAsync(IEnumerable<NpgsqlBatchCommand> statements, CancellationToken cancellationToken)
    {
        await using var connection = await _dataSource.OpenConnectionAsync(cancellationToken);
        // One Sync at the end makes the batch one implicit transaction (PostgreSQL manual, "Pipelining").
        await using var batch = new NpgsqlBatch(connection);
        foreach (var statement in statements)
            batch.BatchCommands.Add(statement);
        await batch.ExecuteNonQueryAsync(cancellationToken);
    }

    private sealed class Kind(Func<IEnumerable<object>, IEnumerable<NpgsqlBatchCommand>> statements)
    {
        public Func<IEnumerable<object>, IEnumerable<NpgsqlBatchCommand>> Statements { get; } = statements;
    }
}
