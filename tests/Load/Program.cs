using System.Globalization;
using AiAspire.Load;
using AiAspire.Load.Batches;
using AiAspire.Load.Crash;
using AiAspire.Load.Fairness;
using AiAspire.Load.Gateway;
using AiAspire.Load.Throughput;

const string Usage = """
    dotnet run -c Release --project tests/Load -- VERB
      batch            a batch of 10,000 lines with 1 % bad ones through the official OpenAI SDK, one of 3 workers killed every 10 s
      jobs-bulk        no-op jobs queued in bulk beside pg-boss, in turn
      jobs-crash       10,000 jobs of 4 tenants, 3 workers of which one is killed every 5 s, 3 restarts of PostgreSQL, 1 in 10 provider calls failing
      jobs-fairness    the wait of one tenant's jobs, alone and beside another tenant's 10,000
      gateway-chaos    chat over 2 replicas of the Api while providers fail in every way, Redis, PostgreSQL and replicas are killed and callers leave
      gateway-soak     chat at a steady pace, and what grows meanwhile
      jobs-throughput  no-op jobs beside Hangfire.PostgreSql and pg-boss on the same PostgreSQL
    --jobs N takes fewer jobs, --minutes N (5 of chaos, 10 of soak) a shorter time, --rounds N other than 3 rounds (8 of bulk). The result is Markdown on the standard
    output; the exit code is 1 when something is not as it must be.
    """;

using var stop = new CancellationTokenSource();
Console.CancelKeyPress += (_, e) =>
{
    e.Cancel = true;
    stop.Cancel();
};
var (jobs, rounds, minutes) = (Number("--jobs"), Number("--rounds"), Number("--minutes"));
if (args.Length != 1 + (2 * new[] { jobs, rounds, minutes }.Count(static n => n is not null)))
{
    await Console.Error.WriteLineAsync(Usage);
    return 2;
}

var time = TimeProvider.System;
switch (args[0])
{
    case "batch":
        return await new BatchLoad(jobs ?? 10_000, time, Say).RunAsync(stop.Token);
    case "jobs-crash":
        return await CrashAsync();
    case "gateway-chaos":
        return await GatewayChaosAsync();
    case "gateway-soak":
        return await GatewaySoakAsync();
    case "jobs-bulk":
        return await new BulkRun(jobs ?? 20_000, rounds ?? 8, time, Say).RunAsync(stop.Token);
    case "jobs-fairness":
        return await new FairnessRun(jobs ?? 10_000, rounds ?? 3, time, Say).RunAsync(stop.Token);
    case "jobs-throughput":
        return await new ThroughputRun(jobs ?? 20_000, rounds ?? 3, time, Say).RunAsync(stop.Token);
    default:
        await Console.Error.WriteLineAsync(Usage);
        return 2;
}

async Task<int> CrashAsync()
{
    var options = new CrashOptions(jobs ?? 10_000, Workers: 3, KillEvery: TimeSpan.FromSeconds(5), DatabaseRestarts: 3, Limit: TimeSpan.FromMinutes(20));
    await using var app = await LoadApplication.StartAsync(time, Say, stop.Token, "--Replicas:Workers=3", $"--Ledger:AttemptLeaseSeconds={CrashOptions.AttemptLeaseSeconds}");
    await using var run = await CrashRun.CreateAsync(app.App, options, time, Say, stop.Token);
    var result = await run.RunAsync(stop.Token);
    Console.WriteLine(result.ToMarkdown());
    return result.Faults().Any() ? 1 : 0;
}

async Task<int> GatewayChaosAsync()
{
    await using var app = await LoadApplication.StartAsync(time, Say, stop.Token, GatewayChaosOptions.Settings);
    await using var run = new GatewayChaosRun(app.App, GatewayChaosOptions.Of(TimeSpan.FromMinutes(minutes ?? 5)), time, Say);
    var result = await run.RunAsync(stop.Token);
    Console.WriteLine(result.ToMarkdown());
    return result.Faults().Any() ? 1 : 0;
}

async Task<int> GatewaySoakAsync()
{
    await using var app = await LoadApplication.StartAsync(time, Say, stop.Token);
    return await new GatewaySoakRun(app, TimeSpan.FromMinutes(minutes ?? 10), time, Say).RunAsync(stop.Token);
}

int? Number(string name)
    => Array.IndexOf(args, name) is > 0 and var at && at + 1 < args.Length && int.TryParse(args[at + 1], CultureInfo.InvariantCulture, out var given) && given > 0 ? given : null;

void Say(string text) => Console.Error.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{time.GetUtcNow():HH:mm:ss} {text}"));
