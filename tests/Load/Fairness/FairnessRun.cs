using System.Globalization;
using AiAspire.Load.Throughput;

namespace AiAspire.Load.Fairness;

/// <summary>
/// One tenant's jobs, ten a second, alone and beside another tenant's backlog, in turn: how long each waited for a worker. The goal: the p95 is at
/// most twice what it is alone.
/// </summary>
internal sealed class FairnessRun(int backlog, int rounds, TimeProvider time, Action<string> say)
{
    private const int Probes = 100;
    private const int Work = 50;
    private const int Concurrency = 32;
    private static readonly TimeSpan Apart = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan Glance = TimeSpan.FromMilliseconds(200);

    public async Task<int> RunAsync(CancellationToken cancellationToken)
    {
        await using var app = await LoadApplication.StartAsync(time, say, cancellationToken);
        await using var ours = await OurQueue.CreateAsync(app, time, TimeSpan.FromMilliseconds(Work), Concurrency, cancellationToken);
        await using var workers = await ours.StartWorkersAsync(cancellationToken);
        await ProbeAsync(ours, cancellationToken); // warms up
        var (allAlone, allBeside, least) = (new List<double>(), new List<double>(), long.MaxValue);
        for (var round = 1; round <= rounds; round++)
        {
            var waits = await ProbeAsync(ours, cancellationToken);
            allAlone.AddRange(waits);
            say($"Round {round}, alone: {Latencies.Of(waits)}. Queuing {backlog} jobs of the other tenant.");
            await ours.EnqueueBulkAsync(backlog, cancellationToken);
            waits = await ProbeAsync(ours, cancellationToken);
            allBeside.AddRange(waits);
            least = Math.Min(least, (await ours.StatusAsync(cancellationToken)).Queued);
            say($"Round {round}, beside them: {Latencies.Of(waits)}.");
            while (await ours.StatusAsync(cancellationToken) is { Queued: > 0 } or { Running: > 0 })
                await Task.Delay(Glance, time, cancellationToken);
        }

        var (alone, beside) = (Latencies.Of(allAlone), Latencies.Of(allBeside));
        var fair = beside.P95 <= 2 * alone.P95;
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"""
            | Jobs of {Work} ms, {Concurrency} at once, {rounds} rounds of {Probes} probes | p50 wait, ms | p95 wait, ms | p99 wait, ms |
            |---|--:|--:|--:|
            | alone | {alone.P50:0.0} | {alone.P95:0.0} | {alone.P99:0.0} |
            | beside {backlog} jobs of another tenant (at least {least} still waiting at the end) | {beside.P50:0.0} | {beside.P95:0.0} | {beside.P99:0.0} |

            {(least == 0 ? "**The backlog was gone before the end: take more jobs.**" : fair ? "Fair." : "**NOT FAIR.**")}
            """));
        return fair && least > 0 ? 0 : 1;
    }

    private async Task<double[]> ProbeAsync(OurQueue ours, CancellationToken cancellationToken)
    {
        using var timer = new PeriodicTimer(Apart, time);
        var waits = new List<Task<double>>();
        for (var probe = 0; probe < Probes && await timer.WaitForNextTickAsync(cancellationToken); probe++)
            waits.Add(ours.ProbeAsync(second: true, cancellationToken));
        return await Task.WhenAll(waits);
    }
}
