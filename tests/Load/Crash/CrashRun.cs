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

namespace AiAspire.Load.Crash;

/// <summary>
/// Jobs of four tenants against workers that are killed, a database that is restarted and providers that fail; then an account of what became
/// of each job, by the tables and by the providers' own bills.
/// </summary>
internal sealed class CrashRun : IAsyncDisposable
{
    private const int Enqueuers = 8;
    private const string Model = "sim-large";
    private static readonly TimeSpan Glance = TimeSpan.FromMilliseconds(100);

    private readonly DistributedApplication _app;
    private readonly CrashOptions _options;
    private readonly TimeProvider _time;
    private readonly Action<string> _say;
    private readonly PatientDatabase _database;
    private readonly ConcurrentDictionary<Guid, (int Number, HttpClient Client)> _jobs = new();
    private readonly List<HttpClient> _clients = [];
    private int _kills;
    private int _orphans;
    private double _slowestOrphan;

    private CrashRun(DistributedApplication app, CrashOptions options, TimeProvider time, Action<string> say, PatientDatabase database)
        => (_app, _options, _time, _say, _database) = (app, options, time, say, database);

    public static async Task<CrashRun> CreateAsync(
        DistributedApplication app, CrashOptions options, TimeProvider time, Action<string> say, CancellationToken cancellationToken)
    {
        var connection = await app.GetConnectionStringAsync("aiaspire", cancellationToken) ?? throw new InvalidOperationException("The database 'aiaspire' has no connection string.");
        return new CrashRun(app, options, time, say, new PatientDatabase(connection, time));
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
        return await new CrashAccount(_app, _options, _database, _jobs)
            .TakeAsync(new CrashCourse(elapsed, _kills, restarts, open, closing, _orphans, _slowestOrphan), cancellationToken);
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
        await _database.QueryAsync("UPDATE aiaspire.tiers SET tokens_per_day = NULL; UPDATE aiaspire.tenants SET tokens_per_day = NULL, tokens_per_minute = NULL", static _ => 0, cancellationToken);
        foreach (var company in CrashOptions.Companies)
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
        var (restarts, told) = (0, 0);
        while (true)
        {
            var done = await _database.CountAsync("SELECT count(*) FROM aiaspire.job_history", cancellationToken);
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
        var back = Task.CompletedTask;
        try
        {
            for (var replica = 0; await timer.WaitForNextTickAsync(over); replica = (replica + 1) % _options.Workers)
            {
                // On a machine where a start takes longer than the pause there would soon be no worker left.
                await back;
                if (_app.GetResourceProcessId("workers", replica) is not { } pid)
                    continue;
                using (var process = Process.GetProcessById(pid))
                    process.Kill();
                var killed = _time.GetTimestamp();
                _kills++;
                watches.Add(WatchOrphansAsync(pid, killed, over));
                // At once, and not after the pauses that the engine makes before it starts what crashes all the time.
                await _app.StopResourceAsync("workers", replica);
                back = _app.StartResourceAsync("workers", replica, over);
            }
        }
        catch (Exception e) when (e is OperationCanceledException or TimeoutException && over.IsCancellationRequested)
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
                var left = await _database.CountAsync("SELECT count(*) FROM aiaspire.jobs WHERE state = 'Running' AND worker LIKE $1", over, worker);
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

        Task<int> OpenAsync() => _database.CountAsync("SELECT count(*) FROM aiaspire.ledger_attempts WHERE outcome = 'Open'", cancellationToken);
    }
}
