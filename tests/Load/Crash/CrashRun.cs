using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text.Json;
using AiAspire.AppHost;
using Aspire.Hosting;
using Aspire.Hosting.Testing;
using Npgsql;

namespace AiAspire.Load.Crash;

/// <param name="Jobs">Over four tenants, in turn.</param>
/// <param name="Workers">Replicas of the workers.</param>
/// <param name="KillEvery">One worker gets SIGKILL.</param>
/// <param name="DatabaseRestarts">Spread over the run.</param>
/// <param name="Limit">After this the run is given up.</param>
internal sealed record CrashOptions(int Jobs, int Workers, TimeSpan KillEvery, int DatabaseRestarts, TimeSpan Limit)
{
    /// <summary>The application's <c>Ledger:AttemptLeaseSeconds</c>: after that an attempt of a dead process is the reconciler's.</summary>
    public const int AttemptLeaseSeconds = 60;

    /// <summary>From the last job's end to the last attempt's.</summary>
    public TimeSpan ClosingLimit { get; } = TimeSpan.FromSeconds(AttemptLeaseSeconds + 60);

    /// <summary>Shares of provider calls that fail: together one in ten.</summary>
    public Dictionary<string, double> ErrorRates { get; } = new(StringComparer.Ordinal) { ["500"] = 0.06, ["429"] = 0.04 };
}

/// <summary>
/// Jobs of four tenants against workers that are killed, a database that is restarted and providers that fail; then an account of what became
/// of each job, by the tables and by the providers' own bills.
/// </summary>
internal sealed class CrashRun : IAsyncDisposable
{
    private const int Enqueuers = 8;
    private const int Checked = 200;
    private const string Model = "sim-large";
    private static readonly string[] Companies = ["sim-openai", "sim-anthropic"];
    private static readonly TimeSpan Glance = TimeSpan.FromMilliseconds(100);

    private readonly DistributedApplication _app;
    private readonly CrashOptions _options;
    private readonly TimeProvider _time;
    private readonly Action<string> _say;
    private readonly NpgsqlDataSource _database;
    private readonly ConcurrentDictionary<Guid, (int Number, HttpClient Client)> _jobs = new();
    private readonly List<HttpClient> _clients = [];
    private int _kills;
    private int _orphans;
    private double _slowestOrphan;

    private CrashRun(DistributedApplication app, CrashOptions options, TimeProvider time, Action<string> say, NpgsqlDataSource database)
        => (_app, _options, _time, _say, _database) = (app, options, time, say, database);

    public static async Task<CrashRun> CreateAsync(
        DistributedApplication app, CrashOptions options, TimeProvider time, Action<string> say, CancellationToken cancellationToken)
    {
        var connection = new NpgsqlConnectionStringBuilder(await app.GetConnectionStringAsync("aiaspire", cancellationToken)) { MaxPoolSize = 8 };
        return new CrashRun(app, options, time, say, NpgsqlDataSource.Create(connection.ConnectionString));
    }

    public async Task<CrashResult> RunAsync(CancellationToken cancellationToken)
    {
        await PrepareAsync(cancellationToken);
        var started = _time.GetTimestamp();
        using var over = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var killing = KillAsync(over.Token);
        var enqueuing = EnqueueAsync(cancellationToken);
        var restarts = await WatchAsync(enqueuing, started, cancellationToken);
        await enqueuing;
        var elapsed = _time.GetElapsedTime(started);
        await over.CancelAsync();
        await killing;
        _say($"All over after {elapsed.TotalSeconds:0} s; {_kills} kills, {restarts} restarts of the database. Counting.");
        var (open, closing) = await WatchClosingAsync(cancellationToken);
        return await CountAsync(elapsed, restarts, open, closing, cancellationToken);
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var client in _clients)
            client.Dispose();
        await _database.DisposeAsync();
    }

    private async Task PrepareAsync(CancellationToken cancellationToken)
    {
        var secrets = DevelopmentSecrets.In(_app.DataFolder);
        using var admin = _app.CreateHttpClient("api");
        admin.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", secrets.ApiKey);
        var tenants = new List<string> { "acme", "globex" };
        foreach (var slug in new[] { "crash-one", "crash-two" })
        {
            using var made = await admin.PostAsJsonAsync("/v1/admin/tenants", new { slug, name = slug }, cancellationToken);
            made.EnsureSuccessStatusCode();
            tenants.Add(slug);
        }

        // Limits are not what is tested: without any, no job waits for tomorrow.
        await QueryAsync("UPDATE aiaspire.tiers SET tokens_per_day = NULL; UPDATE aiaspire.tenants SET tokens_per_day = NULL, tokens_per_minute = NULL", static _ => 0, cancellationToken);
        foreach (var company in Companies)
        {
            using var simulator = _app.CreateHttpClient(company);
            using var set = await simulator.PutAsJsonAsync(
                "/control/behaviour",
                new { latency = new { kind = "uniform", minMs = 50, maxMs = 250 }, errorRates = _options.ErrorRates, retryAfterSeconds = 1 },
                cancellationToken);
            set.EnsureSuccessStatusCode();
        }

        using var issuer = secrets.IssuerKey();
        foreach (var tenant in tenants)
        {
            var client = _app.CreateHttpClient("api");
            client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue(
                "Bearer", TokenVerb.Sign(issuer, tenant, "crash", ["user"], TimeSpan.FromHours(2), _time));
            _clients.Add(client);
        }
    }

    private async Task EnqueueAsync(CancellationToken cancellationToken)
    {
        await Parallel.ForEachAsync(
            Enumerable.Range(0, _options.Jobs),
            new ParallelOptions { MaxDegreeOfParallelism = Enqueuers, CancellationToken = cancellationToken },
            async (number, token) =>
            {
                var client = _clients[number % _clients.Count];
                _jobs[await EnqueueAsync(client, number, token)] = (number, client);
            });
        _say($"{_jobs.Count} jobs queued.");
    }

    /// <summary>As a client does that wants its job queued once: it sends the same key until it is answered.</summary>
    private async Task<Guid> EnqueueAsync(HttpClient client, int number, CancellationToken cancellationToken)
    {
        var key = Guid.CreateVersion7(_time.GetUtcNow()).ToString();
        for (var attempt = 1; ; attempt++)
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, "/v1/jobs")
            {
                Content = JsonContent.Create(new { request = new { model = Model, messages = new[] { new { role = "user", content = $"say exactly: job {number}" } } }, max_tries = 25 }),
            };
            request.Headers.Add("Idempotency-Key", key);
            try
            {
                using var response = await client.SendAsync(request, cancellationToken);
                if (response.StatusCode == HttpStatusCode.Accepted)
                    return (await response.Content.ReadFromJsonAsync<JsonElement>(cancellationToken)).GetProperty("id").GetGuid();
                if ((int)response.StatusCode is < 500 and not 409)
                    throw new InvalidOperationException($"The job was refused: {(int)response.StatusCode} {await response.Content.ReadAsStringAsync(cancellationToken)}");
            }
            catch (HttpRequestException)
            {
                // The Api is there all the time; its database is not. The next try has the same key.
            }

            await Task.Delay(Glance * Math.Min(attempt, 10), _time, cancellationToken);
        }
    }

    /// <summary>Waits until every job is over, and restarts the database on the way.</summary>
    private async Task<int> WatchAsync(Task enqueuing, long started, CancellationToken cancellationToken)
    {
        var (restarts, told) = (0, 0L);
        while (true)
        {
            var done = (await QueryAsync("SELECT count(*) FROM aiaspire.job_history", r => r.GetInt64(0), cancellationToken)).Single();
            if (enqueuing.IsFaulted || (enqueuing.IsCompleted && done >= _options.Jobs))
                return restarts;
            if (done / 1000 > told)
                _say($"{done} jobs over.");
            told = done / 1000;
            if (restarts < _options.DatabaseRestarts && done > (restarts + 1) * _options.Jobs / (_options.DatabaseRestarts + 1))
            {
                restarts++;
                _say("Restarting the database.");
                await _app.RestartResourceAsync("postgres", cancellationToken: cancellationToken);
            }

            if (_time.GetElapsedTime(started) > _options.Limit)
                throw new TimeoutException($"Only {done} of {_options.Jobs} jobs were over after {_options.Limit.TotalSeconds:0} s.");
            await Task.Delay(Glance, _time, cancellationToken);
        }
    }

    private async Task KillAsync(CancellationToken over)
    {
        using var timer = new PeriodicTimer(_options.KillEvery, _time);
        var watches = new List<Task>();
        try
        {
            for (var replica = 0; await timer.WaitForNextTickAsync(over); replica = (replica + 1) % _options.Workers)
            {
                if (_app.GetResourceProcessId("workers", replica) is not { } pid)
                    continue;
                using (var process = Process.GetProcessById(pid))
                    process.Kill();
                var killed = _time.GetTimestamp();
                _kills++;
                watches.Add(WatchOrphansAsync(pid, killed, over));
                // At once, and not after the pauses that the engine makes before it starts what crashes all the time.
                await _app.StopResourceAsync("workers", replica);
                _ = _app.StartResourceAsync("workers", replica, over);
            }
        }
        catch (OperationCanceledException) when (over.IsCancellationRequested)
        {
            // All jobs are over.
        }

        await Task.WhenAll(watches);
    }

    /// <summary>How long the dead worker's jobs are in nobody's hands.</summary>
    private async Task WatchOrphansAsync(int pid, long killed, CancellationToken over)
    {
        var worker = string.Create(CultureInfo.InvariantCulture, $"%:{pid}");
        try
        {
            var all = 0;
            while (true)
            {
                var left = (await QueryAsync("SELECT count(*) FROM aiaspire.jobs WHERE state = 'Running' AND worker LIKE $1", r => (int)r.GetInt64(0), over, worker)).Single();
                all = Math.Max(all, left);
                lock (_clients)
                {
                    if (all > 0)
                        _slowestOrphan = Math.Max(_slowestOrphan, _time.GetElapsedTime(killed).TotalSeconds);
                    if (left == 0)
                    {
                        _orphans += all;
                        return;
                    }
                }

                await Task.Delay(Glance, _time, over);
            }
        }
        catch (OperationCanceledException) when (over.IsCancellationRequested)
        {
            // All jobs are over, these too.
        }
    }

    /// <summary>Waits for the reconciler to close what dead workers left open.</summary>
    /// <returns>How many there were when the last job was over, and how long it took.</returns>
    private async Task<(int Open, TimeSpan Took)> WatchClosingAsync(CancellationToken cancellationToken)
    {
        var started = _time.GetTimestamp();
        var first = await OpenAsync();
        _say($"{first} attempts are open; the reconciler's.");
        while (await OpenAsync() > 0 && _time.GetElapsedTime(started) < _options.ClosingLimit)
            await Task.Delay(Glance, _time, cancellationToken);
        return (first, _time.GetElapsedTime(started));

        async Task<int> OpenAsync()
            => (await QueryAsync("SELECT count(*) FROM aiaspire.ledger_attempts WHERE outcome = 'Open'", r => (int)r.GetInt64(0), cancellationToken)).Single();
    }

    private async Task<CrashResult> CountAsync(TimeSpan elapsed, int restarts, int openAtEnd, TimeSpan closing, CancellationToken cancellationToken)
    {
        var ids = _jobs.Keys.ToArray();
        var states = (await QueryAsync(
            "SELECT job_id, state, tries FROM aiaspire.job_history WHERE job_id = ANY ($1)", r => (Id: r.GetGuid(0), State: r.GetString(1), Tries: r.GetInt32(2)), cancellationToken, ids)).ToList();
        var charges = await QueryAsync(
            "SELECT conversation_id, count(*) FROM aiaspire.ledger_requests WHERE charged_cost > 0 AND conversation_id = ANY ($1) GROUP BY 1",
            r => (Id: r.GetGuid(0), Count: r.GetInt64(1)), cancellationToken, ids);
        var answers = await QueryAsync(
            "SELECT conversation_id, count(*) FROM aiaspire.messages WHERE role = 'assistant' AND conversation_id = ANY ($1) GROUP BY 1",
            r => (Id: r.GetGuid(0), Count: r.GetInt64(1)), cancellationToken, ids);
        var attempts = (await QueryAsync("SELECT attempt_id, outcome FROM aiaspire.ledger_attempts", r => (Id: r.GetGuid(0), Outcome: r.GetString(1)), cancellationToken))
            .ToDictionary(a => a.Id, a => a.Outcome);
        var bill = await BillAsync(cancellationToken);
        var charged = charges.ToDictionary(c => c.Id, c => c.Count);
        return new CrashResult
        {
            Options = _options,
            Elapsed = elapsed,
            Kills = _kills,
            Restarts = restarts,
            Succeeded = states.Count(s => s.State == "Succeeded"),
            DeadLetters = states.Count(s => s.State == "Failed"),
            Lost = ids.Length - states.Select(s => s.Id).Distinct().Count() + (_options.Jobs - ids.Length),
            Starts = states.Sum(s => (long)s.Tries),
            ResultsTwice = answers.Count(a => a.Count > 1) + (states.Count - states.Select(s => s.Id).Distinct().Count()),
            ChargedTwice = charged.Count(c => c.Value > 1),
            NotCharged = states.Count(s => s.State == "Succeeded" && !charged.ContainsKey(s.Id)),
            WrongResults = await CountWrongAsync(states.Where(s => s.State == "Succeeded").Select(s => s.Id), cancellationToken),
            BillLines = bill.Count,
            BillWithoutAttempt = bill.Count(id => !attempts.ContainsKey(id)),
            OpenAtEnd = openAtEnd,
            Abandoned = attempts.Values.Count(o => o == "Abandoned"),
            ClosingSeconds = closing.TotalSeconds,
            StillOpen = attempts.Values.Count(o => o == "Open"),
            Orphans = _orphans,
            SlowestOrphanSeconds = _slowestOrphan,
        };
    }

    private async Task<int> CountWrongAsync(IEnumerable<Guid> succeeded, CancellationToken cancellationToken)
    {
        var wrong = 0;
        foreach (var id in succeeded.Take(Checked))
        {
            var (number, client) = _jobs[id];
            var job = await client.GetFromJsonAsync<JsonElement>($"/v1/jobs/{id}", cancellationToken);
            if (job.GetProperty("result").GetProperty("choices")[0].GetProperty("message").GetProperty("content").GetString() != $"job {number}")
                wrong++;
        }

        return wrong;
    }

    private async Task<List<Guid>> BillAsync(CancellationToken cancellationToken)
    {
        var lines = new List<Guid>();
        foreach (var company in Companies)
        {
            using var simulator = _app.CreateHttpClient(company);
            var bill = await simulator.GetFromJsonAsync<JsonElement>("/control/bill?limit=1000000", cancellationToken);
            lines.AddRange(bill.GetProperty("lines").EnumerateArray().Where(l => l.GetProperty("billed").GetBoolean()).Select(l => l.GetProperty("clientRequestId").GetGuid()));
        }

        return lines;
    }

    /// <summary>Asks again while the database is away.</summary>
    private async Task<List<T>> QueryAsync<T>(string sql, Func<NpgsqlDataReader, T> read, CancellationToken cancellationToken, params object[] values)
    {
        while (true)
        {
            try
            {
                await using var command = _database.CreateCommand(sql);
                foreach (var value in values)
                    command.Parameters.Add(new NpgsqlParameter { Value = value });
                await using var reader = await command.ExecuteReaderAsync(cancellationToken);
                var rows = new List<T>();
                while (await reader.ReadAsync(cancellationToken))
                    rows.Add(read(reader));
                return rows;
            }
            catch (NpgsqlException e) when (e.IsTransient || e is not PostgresException)
            {
                await Task.Delay(Glance, _time, cancellationToken);
            }
        }
    }
}
