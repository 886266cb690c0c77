using System.Globalization;
using AiAspire.Load;
using AiAspire.Load.Batches;
using AiAspire.Load.Crash;
using AiAspire.Load.Fairness;
using AiAspire.Load.Throughput;

const string Usage = """
    dotnet run -c Release --project tests/Load -- VERB
      batch            a batch of 10,000 lines with 1 % bad ones through the official OpenAI SDK, one of 3 workers killed every 10 s
      jobs-crash       10,000 jobs of 4 tenants, 3 workers of which one is killed every 5 s, 3 restarts of PostgreSQL, 1 in 10 provider calls failing
      jobs-fairness    the wait of one tenant's jobs, alone and beside another tenant's 10,000
      jobs-throughput  no-op jobs beside Hangfire.PostgreSql and pg-boss on the same PostgreSQL
    --jobs N takes fewer jobs. The result is Markdown on the standard output; the exit code is 1 when something is not as it must be.
    """;

using var stop = new CancellationTokenSource();
Console.CancelKeyPress += (_, e) =>
{
    e.Cancel = true;
    stop.Cancel();
};
var jobs = args is [_, "--jobs", var number] && int.TryParse(number, CultureInfo.InvariantCulture, out var given) && given > 0 ? given : (int?)null;
if (args.Length is not (1 or 3) || (args.Length == 3 && jobs is null))
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
    case "jobs-fairness":
        return await new FairnessRun(jobs ?? 10_000, time, Say).RunAsync(stop.Token);
    case "jobs-throughput":
        return await new ThroughputRun(jobs ?? 20_000, time, Say).RunAsync(stop.Token);
    default:
        await Console.Error.WriteLineAsync(Usage);
        return 2;
}

async Task<int> CrashAsync()
{
    var options = new CrashOptions(jobs ?? 10_000, Workers: 3, KillEvery: TimeSpan.FromSeconds(5), DatabaseRestarts: 3, Limit: TimeSpan.FromMinutes(20));
    await using var app = await LoadApplication.StartAsync(time, Say, stop.Token, "--Replicas:Workers=3");
    await using var run = await CrashRun.CreateAsync(app.App, options, time, Say, stop.Token);
    var result = await run.RunAsync(stop.Token);
    Console.WriteLine(result.ToMarkdown());
    return result.Faults().Any() ? 1 : 0;
}

void Say(string text) => Console.Error.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{time.GetUtcNow():HH:mm:ss} {text}"));
