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

    /// <summary>More at the same time would share fewer commits.</summary>
    private const int MaxWriters = 1;
    private static readonly TimeSpan TryTimeout = TimeSpan.FromSeconds(10);

    private readonly NpgsqlDataSource _dataSource;
    private readonly TimeProvider _time;
    private readonly GroupWriter<(Kind Kind, object Entry)> _writer;

    public LedgerRole(NpgsqlDataSource dataSource, TimeProvider time)
    {
        (_dataSource, _time) = (dataSource, time);
        _writer = new GroupWriter<(Kind Kind, object Entry)>(
            MaxBatch, MaxWriters, entries => ExecuteAsync(entries.GroupBy(static e => e.Kind, static e => e.Entry).SelectMany(static kind => kind.Key.Statements(kind))));
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
    private async Task ExecuteAsync(IEnumerable<NpgsqlBatchCommand> statements)
    {
        using var timeout = new CancellationTokenSource(TryTimeout, _time);
        try
        {
            await using var connection = await _dataSource.OpenConnectionAsync(timeout.Token);
            // One Sync at the end makes the batch one implicit transaction (PostgreSQL manual, "Pipelining").
            await using var batch = new NpgsqlBatch(connection);
            foreach (var statement in statements)
                batch.BatchCommands.Add(statement);
            await batch.ExecuteNonQueryAsync(timeout.Token);
        }
        catch (OperationCanceledException e) when (timeout.IsCancellationRequested)
        {
            // Nobody's caller left.
            throw new NpgsqlException($"The ledger was not written within {TryTimeout.TotalSeconds} s.", new TimeoutException(null, e));
        }
    }

    private sealed class Kind(Func<IEnumerable<object>, IEnumerable<NpgsqlBatchCommand>> statements)
    {
        public Func<IEnumerable<object>, IEnumerable<NpgsqlBatchCommand>> Statements { get; } = statements;
    }
}
