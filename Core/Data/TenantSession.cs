using Microsoft.EntityFrameworkCore;
using Npgsql;

namespace AiAspire.Core.Data;

/// <summary>
/// The one door to the tables. Every piece of work runs in a transaction whose first statement tells PostgreSQL the tenant and the
/// user; the settings end with the transaction, so a pooled connection never carries them on.
/// </summary>
public sealed class TenantSession
{
    /// <summary>Transaction-local settings (the third argument), read by the row policies.</summary>
    internal const string SetScopeSql =
        "SELECT set_config('app.tenant_id', $1, true), set_config('app.user_id', $2, true), set_config('app.reach', $3, true)";

    private readonly DbContextOptions<AiAspireDb> _options;
    private readonly NpgsqlDataSource _dataSource;

    internal TenantSession(DbContextOptions<AiAspireDb> options, NpgsqlDataSource dataSource, TenantScope scope)
    {
        _options = options;
        _dataSource = dataSource;
        Scope = scope;
    }

    public TenantScope Scope { get; }

    /// <summary>
    /// Runs <paramref name="work"/> in one transaction and commits it. On a transient fault of the connection the whole of
    /// <paramref name="work"/> runs again, so it must have no effect outside the database and must take its ids from outside.
    /// </summary>
    public async Task<T> RunAsync<T>(Func<AiAspireDb, CancellationToken, Task<T>> work, CancellationToken cancellationToken)
    {
        await using var db = new AiAspireDb(_options, Scope);
        return await db.Database.CreateExecutionStrategy().ExecuteAsync(
            (db, work, scope: Scope),
            static async (state, token) =>
            {
                var (db, work, scope) = state;
                db.ChangeTracker.Clear();
                await using var transaction = await db.Database.BeginTransactionAsync(token);
                await db.SetScopeAsync(scope, token);
                var result = await work(db, token);
                await transaction.CommitAsync(token);
                return result;
            },
            cancellationToken);
    }

    /// <inheritdoc cref="RunAsync{T}"/>
    public Task RunAsync(Func<AiAspireDb, CancellationToken, Task> work, CancellationToken cancellationToken)
        => RunAsync(
            async (db, token) =>
            {
                await work(db, token);
                return true;
            },
            cancellationToken);

    /// <summary>
    /// Runs the statements as one transaction in one round trip, for the path of a chat request. Not retried: the caller knows
    /// whether its statements may be repeated.
    /// </summary>
    /// <returns>The rows affected by each statement, in order.</returns>
    public async Task<IReadOnlyList<ulong>> ExecuteAsync(TenantBatch batch, CancellationToken cancellationToken)
    {
        await using var connection = await _dataSource.OpenConnectionAsync(cancellationToken);
        // One batch has one Sync at its end, which makes it one implicit transaction (PostgreSQL manual, "Pipelining");
        // the scope set by its first statement therefore covers the rest and ends with it.
        await using var command = new NpgsqlBatch(connection);
        command.BatchCommands.Add(ScopeCommand());
        foreach (var statement in batch.Statements)
            command.BatchCommands.Add(statement);
        await command.ExecuteNonQueryAsync(cancellationToken);
        return [.. batch.Statements.Select(s => s.Rows)];
    }

    /// <summary>One query in the session's scope, in one round trip; <paramref name="read"/> gets each row.</summary>
    public async Task QueryAsync(NpgsqlBatchCommand query, Action<NpgsqlDataReader> read, CancellationToken cancellationToken)
    {
        await using var connection = await _dataSource.OpenConnectionAsync(cancellationToken);
        await using var command = new NpgsqlBatch(connection);
        command.BatchCommands.Add(ScopeCommand());
        command.BatchCommands.Add(query);
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        await reader.NextResultAsync(cancellationToken);
        while (await reader.ReadAsync(cancellationToken))
            read(reader);
    }

    private NpgsqlBatchCommand ScopeCommand() => new(SetScopeSql)
    {
        Parameters =
        {
            new NpgsqlParameter<string> { TypedValue = Scope.TenantSetting },
            new NpgsqlParameter<string> { TypedValue = Scope.UserSetting },
            new NpgsqlParameter<string> { TypedValue = Scope.ReachSetting },
        },
    };
}

/// <summary>Statements with positional parameters (<c>$1</c>…), to be run by <see cref="TenantSession.ExecuteAsync"/>.</summary>
public sealed class TenantBatch
{
    private readonly List<NpgsqlBatchCommand> _statements = [];

    internal IReadOnlyList<NpgsqlBatchCommand> Statements => _statements;

    public TenantBatch Add(string sql, params ReadOnlySpan<NpgsqlParameter> parameters)
    {
        var statement = new NpgsqlBatchCommand(sql);
        foreach (var parameter in parameters)
            statement.Parameters.Add(parameter);
        return Add(statement);
    }

    public TenantBatch Add(NpgsqlBatchCommand statement)
    {
        _statements.Add(statement);
        return this;
    }
}

/// <summary>Opens sessions. Code that serves a caller takes the caller's session; only steps of our own open others.</summary>
public sealed class TenantSessions
{
    private readonly DbContextOptions<AiAspireDb> _options;
    private readonly NpgsqlDataSource _dataSource;

    internal TenantSessions(DbContextOptions<AiAspireDb> options, NpgsqlDataSource dataSource)
    {
        _options = options;
        _dataSource = dataSource;
    }

    public TenantSession Open(TenantScope scope) => new(_options, _dataSource, scope);

    /// <summary>
    /// Calls one of the cross-tenant functions listed in the Migrator's <c>security.sql</c>. Such a function runs with the rights of
    /// the functions role and returns only what its text says; no scope is set.
    /// </summary>
    public async Task CallFunctionAsync(
        string sql, Action<NpgsqlDataReader> read, CancellationToken cancellationToken, params NpgsqlParameter[] parameters)
    {
        await using var command = _dataSource.CreateCommand(sql);
        command.Parameters.AddRange(parameters);
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        while (await reader.ReadAsync(cancellationToken))
            read(reader);
    }

    /// <summary>Calls a cross-tenant function that deletes rows and returns how many, until it finds fewer than it may take: in short transactions.</summary>
    /// <param name="sql">The call; its last parameter is how many rows it may take.</param>
    /// <param name="atOnce">How many that are.</param>
    /// <param name="cancellationToken">Stops between two transactions or within one.</param>
    /// <param name="others">The parameters before the last.</param>
    /// <returns>Rows deleted.</returns>
    public async Task<long> DeleteInStepsAsync(string sql, int atOnce, CancellationToken cancellationToken, params NpgsqlParameter[] others)
    {
        long all = 0, deleted = atOnce;
        while (deleted == atOnce)
        {
            // A parameter belongs to one command.
            await CallFunctionAsync(sql, row => deleted = row.GetInt64(0), cancellationToken, [.. others.Select(p => p.Clone()), Parameter.Of(atOnce)]);
            all += deleted;
        }

        return all;
    }
}
