using System.Collections.Concurrent;
using AiAspire.AppHost;
using AiAspire.Core.Data;
using AiAspire.Core.Encryption;
using AiAspire.Core.Jobs;
using AiAspire.ServiceDefaults;
using AiAspire.Workers.Jobs;
using Aspire.Hosting.Testing;
using Npgsql;

namespace AiAspire.Load.Throughput;

/// <summary>
/// Our queue with all that is on it in production: encrypted payloads and results, row-level security, leases, fences, history. Only the work is left out.
/// </summary>
internal sealed class OurQueue : IQueue
{
    /// <summary>Jobs in hand, as many as pg-boss's four fetchers of a hundred have.</summary>
    public const int Concurrency = 400;

    private const string Kind = "load.noop";
    private const int Batch = 1_000;
    private static readonly byte[] Payload = "{\"n\":1}"u8.ToArray();

    private readonly string _superuser;
    private readonly TimeProvider _time;
    private readonly IHost _host;
    private readonly NoOp _handler;
    private readonly Func<IHost> _makeWorkers;
    private readonly TenantSession[] _users;

    private OurQueue(string superuser, TimeProvider time, IHost host, NoOp handler, Func<IHost> makeWorkers, TenantSession[] users)
        => (_superuser, _time, _host, _handler, _makeWorkers, _users) = (superuser, time, host, handler, makeWorkers, users);

    public string Name => "AiAspire";

    public double Share => 1;

    /// <param name="app">Its own workers and Api are stopped: what is measured is here.</param>
    /// <param name="time">Clock.</param>
    /// <param name="work">How long a job takes.</param>
    /// <param name="concurrency">Jobs at once.</param>
    /// <param name="cancellationToken">Cancels.</param>
    public static async Task<OurQueue> CreateAsync(LoadApplication app, TimeProvider time, TimeSpan work, int concurrency, CancellationToken cancellationToken)
    {
        for (var replica = 0; replica < 2; replica++)
            await app.App.StopResourceAsync("workers", replica);
        await app.App.StopResourceAsync("evaluator");
        await app.App.StopResourceAsync("api");
        var content = await app.ConnectionAsAppAsync(cancellationToken);
        var keyStore = await app.App.GetConnectionStringAsync("keystore", cancellationToken);
        var secrets = DevelopmentSecrets.In(app.App.DataFolder);
        var handler = new NoOp(time, work);
        var host = Build(withWorkers: false);
        await host.StartAsync(cancellationToken);
        var sessions = host.Services.GetRequiredService<TenantSessions>();
        return new OurQueue(app.Superuser, time, host, handler, () => Build(withWorkers: true), [.. (await UsersAsync(app.Superuser, cancellationToken)).Select(sessions.Open)]);

        IHost Build(bool withWorkers)
        {
            var builder = Host.CreateApplicationBuilder();
            builder.Logging.ClearProviders();
            builder.Configuration.AddInMemoryCollection(new Dictionary<string, string?>(StringComparer.Ordinal)
            {
                ["ConnectionStrings:aiaspire"] = content,
                ["ConnectionStrings:keystore"] = keyStore,
                ["Encryption:MasterKeyFile"] = secrets.MasterKeyFile,
                ["Encryption:TombstonesPath"] = secrets.TombstonesFile,
                ["Workers:Concurrency"] = concurrency.ToString(System.Globalization.CultureInfo.InvariantCulture),
                // One tenant has them all here.
                ["Workers:TenantConcurrency"] = "1000",
            });
            builder.AddPostgres("aiaspire");
            builder.AddPostgres("keystore", EncryptionRegistration.KeyStoreConnection);
            builder.Services.AddTenantSessions().AddContentEncryption().AddJobs();
            if (withWorkers)
                builder.Services.AddSingleton<IJobHandler>(handler).AddJobRunner();
            return builder.Build();
        }
    }

    public async Task<double> EnqueueSingleAsync(int jobs, int callers, CancellationToken cancellationToken)
    {
        var queue = _host.Services.GetRequiredService<JobQueue>();
        var started = _time.GetTimestamp();
        await Parallel.ForEachAsync(
            Enumerable.Range(0, jobs), new ParallelOptions { MaxDegreeOfParallelism = callers, CancellationToken = cancellationToken },
            async (i, token) => await queue.EnqueueAsync(_users[i % _users.Length], new JobSpec(Kind, Payload), inTheSame: null, token));
        return _time.GetElapsedTime(started).TotalSeconds;
    }

    public async Task<double?> EnqueueBulkAsync(int jobs, CancellationToken cancellationToken)
    {
        var queue = _host.Services.GetRequiredService<JobQueue>();
        var started = _time.GetTimestamp();
        for (var left = jobs; left > 0; left -= Batch)
            await queue.EnqueueManyAsync(_users[0], [.. Enumerable.Repeat(new JobSpec(Kind, Payload), Math.Min(Batch, left))], cancellationToken);
        return _time.GetElapsedTime(started).TotalSeconds;
    }

    public async Task<double> DrainAsync(int jobs, CancellationToken cancellationToken)
    {
        _handler.Expect(jobs);
        await using var workers = await StartWorkersAsync(cancellationToken);
        var seconds = await _handler.SecondsAsync(cancellationToken);
        // The last of them are running still; a queue is drained when they are over.
        while (await StatusAsync(cancellationToken) is { Queued: > 0 } or { Running: > 0 })
            await Task.Delay(TimeSpan.FromMilliseconds(20), _time, cancellationToken);
        return seconds;
    }

    public async Task<IReadOnlyList<double>> LatencyAsync(int jobs, TimeSpan apart, CancellationToken cancellationToken)
    {
        await using var workers = await StartWorkersAsync(cancellationToken);
        for (var i = 0; i < 20; i++)
            await ProbeAsync(second: false, cancellationToken);
        using var timer = new PeriodicTimer(apart, _time);
        var waits = new List<Task<double>>();
        for (var i = 0; i < jobs && await timer.WaitForNextTickAsync(cancellationToken); i++)
            waits.Add(ProbeAsync(second: false, cancellationToken));
        return await Task.WhenAll(waits);
    }

    /// <summary>Queues one job and waits for its start; milliseconds.</summary>
    public async Task<double> ProbeAsync(bool second, CancellationToken cancellationToken)
    {
        var queue = _host.Services.GetRequiredService<JobQueue>();
        var before = _time.GetTimestamp();
        var queued = await queue.EnqueueAsync(_users[second ? 1 : 0], new JobSpec(Kind, Payload), inTheSame: null, cancellationToken);
        return _time.GetElapsedTime(before, await _handler.StartOfAsync(queued.JobId, cancellationToken)).TotalMilliseconds;
    }

    public async Task SeedFinishedAsync(int jobs, CancellationToken cancellationToken)
    {
        await using var superuser = NpgsqlDataSource.Create(_superuser);
        await using var command = superuser.CreateCommand(
            $"""
            INSERT INTO aiaspire.job_history (tenant_id, user_id, job_id, kind, state, priority, tries, failures, max_tries, cost, result, lease_token, created_at, started_at, finished_at)
            SELECT '{_users[0].Scope.TenantId}', '{_users[0].Scope.UserId}', 
                -- A UUIDv7, which PostgreSQL makes by itself from version 18 on only.
                encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid()) PLACING substring(int8send((extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3) FROM 1 FOR 6), 52, 1), 53, 1), 'hex')::uuid,
                '{Kind}', 'Succeeded', 5, 1, 0, 5, 0, decode(repeat('00', 48), 'hex'), gen_random_uuid(), now(), now(), now()
            FROM generate_series(1, {jobs})
            """);
        command.CommandTimeout = 600;
        await command.ExecuteNonQueryAsync(cancellationToken);
    }

    public Task<QueueStatus> StatusAsync(CancellationToken cancellationToken) => _host.Services.GetRequiredService<JobLeases>().ReadStatusAsync(cancellationToken);

    public async Task<IAsyncDisposable> StartWorkersAsync(CancellationToken cancellationToken)
    {
        var workers = _makeWorkers();
        await workers.StartAsync(cancellationToken);
        return new Running(workers);
    }

    public async ValueTask DisposeAsync()
    {
        await _host.StopAsync();
        _host.Dispose();
    }

    private static async Task<List<TenantScope>> UsersAsync(string superuser, CancellationToken cancellationToken)
    {
        await using var source = NpgsqlDataSource.Create(superuser);
        await using var command = source.CreateCommand(
            "SELECT DISTINCT ON (t.slug) t.tenant_id, u.user_id FROM aiaspire.tenants t JOIN aiaspire.users u USING (tenant_id) WHERE t.slug IN ('acme', 'globex') ORDER BY t.slug, u.external_id");
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        var users = new List<TenantScope>();
        while (await reader.ReadAsync(cancellationToken))
            users.Add(new TenantScope(reader.GetGuid(0), reader.GetGuid(1)));
        return users;
    }

    private sealed class Running(IHost workers) : IAsyncDisposable
    {
        public async ValueTask DisposeAsync()
        {
            await workers.StopAsync();
            workers.Dispose();
        }
    }

    /// <summary>Does nothing, and knows when.</summary>
    private sealed class NoOp(TimeProvider time, TimeSpan work) : IJobHandler
    {
        private readonly Lock _lock = new();
        private readonly ConcurrentDictionary<Guid, TaskCompletionSource<long>> _starts = new();
        private TaskCompletionSource _all = new();
        private int _left;
        private long _first;
        private long _last;

        public string Kind => OurQueue.Kind;

        public void Expect(int jobs)
        {
            lock (_lock)
                (_left, _first, _last, _all) = (jobs, 0, 0, new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously));
        }

        public async Task<double> SecondsAsync(CancellationToken cancellationToken)
        {
            await _all.Task.WaitAsync(cancellationToken);
            return time.GetElapsedTime(_first, _last).TotalSeconds;
        }

        /// <summary>When the job started; asked for before or after that.</summary>
        public Task<long> StartOfAsync(Guid job, CancellationToken cancellationToken) => Start(job).Task.WaitAsync(cancellationToken);

        public async Task<JobEnd?> RunAsync(JobRun run, CancellationToken cancellationToken)
        {
            var now = time.GetTimestamp();
            lock (_lock)
            {
                _last = now;
                if (_first == 0)
                    _first = now;
                if (--_left == 0)
                    _all.TrySetResult();
            }

            Start(run.Job.JobId).TrySetResult(now);
            if (work > TimeSpan.Zero)
                await Task.Delay(work, time, cancellationToken);
            return new JobEnd(JobState.Succeeded, run.Job.Payload);
        }

        private TaskCompletionSource<long> Start(Guid job) => _starts.GetOrAdd(job, static _ => new(TaskCreationOptions.RunContinuationsAsynchronously));
    }
}
