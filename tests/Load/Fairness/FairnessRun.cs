using System.Globalization;
using AiAspire.Core.Data;
using AiAspire.Core.Jobs;
using AiAspire.Load.Throughput;

namespace AiAspire.Load.Fairness;

/// <summary>
/// One tenant's jobs, ten a second, first alone, then beside another tenant's backlog: how long each waited for a worker. The goal: the p95 is at
/// most twice what it is alone.
/// </summary>
internal sealed class FairnessRun(int backlog, TimeProvider time, Action<string> say)
{
    private const int Probes = 100;
    private const int Work = 50;
    private static readonly TimeSpan Apart = TimeSpan.FromMilliseconds(100);

    public async Task<int> RunAsync(CancellationToken cancellationToken)
    {
        await using var app = await LoadApplication.StartAsync(time, say, cancellationToken);
        await using var ours = await OurQueue.CreateAsync(app, time, TimeSpan.FromMilliseconds(Work), cancellationToken);
        await using var workers = await ours.StartWorkersAsync(cancellationToken);
        await ProbeAsync(ours, cancellationToken); // warms up
        var alone = await ProbeAsync(ours, cancellationToken);
        say($"Alone: {alone}. Queuing {backlog} jobs of the other tenant.");
        await ours.EnqueueBulkAsync(backlog, cancellationToken);
        var beside = await ProbeAsync(ours, cancellationToken);
        var waiting = (await ours.StatusAsync(cancellationToken)).Queued;
        // A slot that is free is taken at once; beside a backlog a job waits until one of the busy ones is.
        var free = alone.P95 + (Work * 1.0 / OurQueue.Concurrency);
        var fair = beside.P95 <= Math.Max(2 * alone.P95, free + Work);
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"""
            | Jobs of {Work} ms, {OurQueue.Concurrency} at once, {Probes} probes | p50 wait, ms | p95 wait, ms | p99 wait, ms |
            |---|--:|--:|--:|
            | alone | {alone.P50:0.0} | {alone.P95:0.0} | {alone.P99:0.0} |
            | beside {backlog} jobs of another tenant ({waiting} still waiting at the end) | {beside.P50:0.0} | {beside.P95:0.0} | {beside.P99:0.0} |

            {(waiting == 0 ? "**The backlog was gone before the end: take more jobs.**" : fair ? "Fair." : "**NOT FAIR.**")}
            """));
        return fair && waiting > 0 ? 0 : 1;
    }

    private async Task<Latencies> ProbeAsync(OurQueue ours, CancellationToken cancellationToken)
    {
        using var timer = new PeriodicTimer(Apart, time);
        var waits = new List<Task<double>>();
        for (var probe = 0; probe < Probes && await timer.WaitForNextTickAsync(cancellationToken); probe++)
            waits.Add(ours.ProbeAsync(second: true, cancellationToken));
        return Latencies.Of(await Task.WhenAll(waits));
    }
}
