using System.Collections.Concurrent;
using Hangfire;
using Hangfire.Logging;
using Hangfire.PostgreSql;
using Npgsql;

namespace AiAspire.Load.Throughput;

/// <summary>Hangfire.PostgreSql in its own schema of the same database, with LISTEN/NOTIFY and its shortest poll.</summary>
internal sealed class HangfireQueue : IQueue
{
    // A thread each; more of them make it slower.
    private const int Workers = 32;
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(3);
    private static readonly ConcurrentDictionary<string, TaskCompletionSource<long>> Starts = new(StringComparer.Ordinal);
    private static int _left;
    private static long _first;
    private static long _last;
    private static TaskCompletionSource _all = new();
    private static TimeProvider _time = TimeProvider.System;

    private readonly string _connection;
    private readonly PostgreSqlStorage _storage;
    private readonly BackgroundJobClient _client;

    public HangfireQueue(string superuser, TimeProvider time, Action<string> say)
    {
        _time = time;
        LogProvider.SetCurrentLogProvider(new Complaints(say));
        _connection = superuser;
        _storage = new PostgreSqlStorage(
            new Hangfire.PostgreSql.Factories.NpgsqlConnectionFactory(superuser, new PostgreSqlStorageOptions { EnableLongPolling = true }),
            new PostgreSqlStorageOptions
            {
                PrepareSchemaIfNecessary = true,
                EnableLongPolling = true,
                QueuePollInterval = TimeSpan.FromMilliseconds(50),
                EnableTransactionScopeEnlistment = false,
            });
        _client = new BackgroundJobClient(_storage);
    }

    public double Share => 0.1;

    public string Name => $"Hangfire.PostgreSql {typeof(PostgreSqlStorage).Assembly.GetName().Version?.ToString(3)}";

    /// <summary>The job; Hangfire wants a public method.</summary>
    public static void Run(string id)
    {
        var now = _time.GetTimestamp();
        Interlocked.CompareExchange(ref _first, now, 0);
        Volatile.Write(ref _last, now);
        if (Starts.TryGetValue(id, out var start))
            start.TrySetResult(now);
        if (Interlocked.Decrement(ref _left) == 0)
            _all.TrySetResult();
    }

    public async Task<double> EnqueueSingleAsync(int jobs, int callers, CancellationToken cancellationToken)
    {
        var started = _time.GetTimestamp();
        // It knows no asynchronous call: a thread for each caller, and not when the thread pool thinks so.
        var left = jobs;
        await Task.WhenAll(Enumerable.Range(0, callers).Select(_ => Task.Factory.StartNew(
            () =>
            {
                while (Interlocked.Decrement(ref left) >= 0)
                {
                    cancellationToken.ThrowIfCancellationRequested();
                    _client.Enqueue(() => Run(""));
                }
            },
            cancellationToken, TaskCreationOptions.LongRunning, TaskScheduler.Default)));
        return _time.GetElapsedTime(started).TotalSeconds;
    }

    public async Task<double?> EnqueueBulkAsync(int jobs, CancellationToken cancellationToken)
    {
        await EnqueueSingleAsync(jobs, 16, cancellationToken);
        return null;
    }

    public async Task<double> DrainAsync(int jobs, CancellationToken cancellationToken)
    {
        (_left, _first, _all) = (jobs, 0, new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously));
        using var server = Server();
        try
        {
            await _all.Task.WaitAsync(Patience, _time, cancellationToken);
        }
        catch (TimeoutException e)
        {
            throw new TimeoutException($"Hangfire had {_left} of {jobs} jobs left after {Patience.TotalSeconds:0} s.", e);
        }

        return _time.GetElapsedTime(_first, _last).TotalSeconds;
    }

    public async Task<IReadOnlyList<double>> LatencyAsync(int jobs, TimeSpan apart, CancellationToken cancellationToken)
    {
        _left = int.MaxValue;
        using var server = Server();
        for (var i = 0; i < 20; i++)
            await ProbeAsync(cancellationToken);
        using var timer = new PeriodicTimer(apart, _time);
        var waits = new List<Task<double>>();
        for (var i = 0; i < jobs && await timer.WaitForNextTickAsync(cancellationToken); i++)
            waits.Add(Task.Run(() => ProbeAsync(cancellationToken), cancellationToken));
        return await Task.WhenAll(waits);
    }

    public async Task SeedFinishedAsync(int jobs, CancellationToken cancellationToken)
    {
        await using var source = NpgsqlDataSource.Create(_connection);
        await using var command = source.CreateCommand(
            $$"""
            INSERT INTO hangfire.job (invocationdata, arguments, createdat, expireat, statename)
            SELECT '{"Type":"x","Method":"Run","ParameterTypes":"[]","Arguments":null}', '[]', now(), now() + interval '1 day', 'Succeeded' FROM generate_series(1, {{jobs}});
            INSERT INTO hangfire.state (jobid, name, createdat, data) SELECT id, 'Succeeded', now(), '{}' FROM hangfire.job;
            """);
        command.CommandTimeout = 600;
        await command.ExecuteNonQueryAsync(cancellationToken);
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    private async Task<double> ProbeAsync(CancellationToken cancellationToken)
    {
        var id = Guid.CreateVersion7(_time.GetUtcNow()).ToString();
        var start = Starts[id] = new TaskCompletionSource<long>(TaskCreationOptions.RunContinuationsAsynchronously);
        var before = _time.GetTimestamp();
        _client.Enqueue(() => Run(id));
        return _time.GetElapsedTime(before, await start.Task.WaitAsync(cancellationToken)).TotalMilliseconds;
    }

    private BackgroundJobServer Server() => new(new BackgroundJobServerOptions { WorkerCount = Workers, SchedulePollingInterval = TimeSpan.FromSeconds(5) }, _storage);

    /// <summary>What it complains of; else it would only be slow.</summary>
    private sealed class Complaints(Action<string> say) : ILogProvider, ILog
    {
        private int _told;

        public ILog GetLogger(string name) => this;

        public bool Log(Hangfire.Logging.LogLevel logLevel, Func<string>? messageFunc, Exception? exception = null)
        {
            if (logLevel < Hangfire.Logging.LogLevel.Warn)
                return false;
            if (messageFunc is not null && Interlocked.Increment(ref _told) <= 20)
                say($"Hangfire: {messageFunc()} {exception?.GetBaseException().Message}");
            return true;
        }
    }
}
