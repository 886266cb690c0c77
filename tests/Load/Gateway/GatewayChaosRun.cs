using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using Aspire.Hosting;
using Aspire.Hosting.Testing;

namespace AiAspire.Load.Gateway;

/// <summary>
/// Callers of three tenants against two replicas of the Api, while one provider at a time fails in every known way, Redis is killed, PostgreSQL is
/// restarted, replicas of the Api are killed and callers leave; then an account of what became of each request.
/// </summary>
internal sealed class GatewayChaosRun : IAsyncDisposable
{
    public static readonly string[] Companies = ["sim-openai", "sim-anthropic"];
    private static readonly TimeSpan Grace = TimeSpan.FromMinutes(2);

    private readonly DistributedApplication _app;
    private readonly GatewayChaosOptions _options;
    private readonly TimeProvider _time;
    private readonly Action<string> _say;
    private readonly ConcurrentBag<Outcome> _outcomes = [];
    private readonly Dictionary<string, int> _met = new(StringComparer.Ordinal);
    private readonly ProcessFaults _processes;

    // Of the callers' alone: their connections end and break as those of other machines would.
    private readonly HttpMessageInvoker _http = new(new SocketsHttpHandler { UseProxy = false, UseCookies = false, ConnectTimeout = TimeSpan.FromSeconds(5) });

    public GatewayChaosRun(DistributedApplication app, GatewayChaosOptions options, TimeProvider time, Action<string> say)
        => (_app, _options, _time, _say, _processes) = (app, options, time, say, new ProcessFaults(time));

    public async Task<GatewayChaosResult> RunAsync(CancellationToken cancellationToken)
    {
        var tenants = await GatewayTenants.CreateAsync(_app, _time, cancellationToken);
        var companies = Companies.Select(c => _app.CreateHttpClient(c)).ToList();
        foreach (var company in companies)
            await ProviderFault.CalmAsync(company, cancellationToken);
        var started = _time.GetTimestamp();
        using var over = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var failing = FailAsync(companies, over.Token);
        var breaking = BreakAsync(cancellationToken);
        await LoadAsync(tenants, started, breaking, cancellationToken);
        var elapsed = _time.GetElapsedTime(started);
        await over.CancelAsync();
        await Task.WhenAll(failing, breaking);
        foreach (var company in companies)
        {
            await ProviderFault.All[0].EndAsync(company, cancellationToken);
            company.Dispose();
        }

        _say($"All over after {elapsed.TotalSeconds:0} s, {_outcomes.Count} requests. Counting.");
        await using var account = await GatewayAccount.CreateAsync(_app, _time, cancellationToken);
        var books = await account.BooksAsync(Companies, cancellationToken);
        var counters = await account.CountersAsync(tenants.Ids, cancellationToken);
        return new GatewayChaosResult(_options, elapsed, _met, [.. _outcomes], books, counters);
    }

    public ValueTask DisposeAsync()
    {
        _http.Dispose();
        return ValueTask.CompletedTask;
    }

    /// <summary>As long as was asked for, and until all that was to be killed is there again.</summary>
    private async Task LoadAsync(GatewayTenants tenants, long started, Task breaking, CancellationToken cancellationToken)
    {
        using var limit = new CancellationTokenSource(_options.Length + Grace, _time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, cancellationToken);
        Uri[] replicas = [.. Enumerable.Range(0, GatewayChaosOptions.Replicas).Select(i => _app.GetReplicaEndpoint("api", i))];
        await Task.WhenAll(Enumerable.Range(0, _options.Callers).Select(async number =>
        {
            var random = new Random(_options.Seed + number);
            var caller = new GatewayCaller(_http, replicas, tenants.Credentials[number % tenants.Credentials.Count], _time, random);
            while (_time.GetElapsedTime(started) < _options.Length || !breaking.IsCompleted)
            {
                var (question, calm) = (Draw(random), _processes.Calm);
                var outcome = await caller.AskAsync(question, either.Token);
                _outcomes.Add(outcome with { AllProcessesWell = calm is not null && calm == _processes.Calm });
            }
        }));
    }

    /// <summary>One in eight callers leaves, half of those ask again.</summary>
    private Question Draw(Random random)
    {
        var stream = random.Next(2) == 0;
        var leaving = random.Next(8) > 0 ? Leaving.Never : stream ? (Leaving)random.Next(1, 5) : Leaving.BeforeHeaders;
        var id = Guid.CreateVersion7(_time.GetUtcNow());
        return new Question(
            id,
            GatewayChaosOptions.Models[random.Next(GatewayChaosOptions.Models.Length)],
            stream,
            string.Create(CultureInfo.InvariantCulture, $"{id} {string.Join(' ', Enumerable.Range(0, random.Next(8, 30)))}"),
            HasKey: leaving == Leaving.Never || random.Next(2) == 0,
            leaving);
    }

    /// <summary>One company at a time, each in turn, through every fault.</summary>
    private async Task FailAsync(List<HttpClient> companies, CancellationToken over)
    {
        try
        {
            for (var turn = 0; ; turn++)
            {
                var (at, fault) = (turn % companies.Count, ProviderFault.All[turn % ProviderFault.All.Count]);
                await fault.StartAsync(companies[at], over);
                _say($"{Companies[at]}: {fault.Name}.");
                Met(fault.Name);
                await Task.Delay(_options.FaultLength, _time, over);
                await fault.EndAsync(companies[at], over);
                await Task.Delay(_options.Calm, _time, over);
            }
        }
        catch (OperationCanceledException) when (over.IsCancellationRequested)
        {
            // The load is over.
        }
    }

    /// <summary>Kills and restarts, one after the other, evenly over the run.</summary>
    private async Task BreakAsync(CancellationToken cancellationToken)
    {
        var kinds = new (string What, int Times, Func<int, Task> Do)[]
        {
            ("Api killed", _options.ApiKills, i => KillAsync("api", i % GatewayChaosOptions.Replicas, cancellationToken)),
            ("Redis killed", _options.RedisKills, _ => KillAsync("redis", 0, cancellationToken)),
            ("PostgreSQL restarted", _options.DatabaseRestarts, _ => _app.RestartResourceAsync("postgres", cancellationToken: cancellationToken)),
        };
        var plan = kinds
            .SelectMany(k => Enumerable.Range(0, k.Times).Select(i => (At: (i + 0.5) / k.Times, k.What, Number: i, k.Do)))
            .OrderBy(p => p.At).ThenBy(p => p.What, StringComparer.Ordinal).ToList();
        var started = _time.GetTimestamp();
        for (var i = 0; i < plan.Count; i++)
        {
            // The last one early enough for its consequences to be met.
            var due = (_options.Length * ((i + 0.5) / (plan.Count + 0.5))) - _time.GetElapsedTime(started);
            if (due > TimeSpan.Zero)
                await Task.Delay(due, _time, cancellationToken);
            _say($"{plan[i].What}.");
            using (_processes.Begin())
                await plan[i].Do(plan[i].Number);
            Met(plan[i].What);
        }
    }

    private async Task KillAsync(string resource, int replica, CancellationToken cancellationToken)
    {
        if (_app.GetResourceProcessId(resource, replica) is not { } pid)
            return;
        using (var process = Process.GetProcessById(pid))
            process.Kill();
        // At once, and not after the pauses that the engine makes before it starts what crashes all the time.
        await _app.StopResourceAsync(resource, replica);
        await _app.StartResourceAsync(resource, replica, cancellationToken);
    }

    private void Met(string what)
    {
        lock (_met)
            _met[what] = _met.GetValueOrDefault(what) + 1;
    }
}
