using System.Globalization;
using System.Text;
using Npgsql;

namespace AiAspire.Load.Throughput;

/// <summary>
/// No-op jobs through three queues on one PostgreSQL, in turn and in several rounds, each with the machine to itself. Ours carries what it
/// carries in production (encryption, row-level security, fences, history); the peers are given their fastest settings. Then the same with a
/// transaction held open, after a million finished jobs, and with both.
/// </summary>
internal sealed class ThroughputRun(int jobs, int rounds, TimeProvider time, Action<string> say)
{
    private const int Finished = 1_000_000;
    private const int SingleCallers = 16;
    private const int Probes = 100;
    private const int WarmUp = 20_000;
    private static readonly TimeSpan Apart = TimeSpan.FromMilliseconds(50);

    private enum Load
    {
        Plain,
        Held,
        Full,
        FullAndHeld,
    }

    public async Task<int> RunAsync(CancellationToken cancellationToken)
    {
        await using var app = await LoadApplication.StartAsync(time, say, cancellationToken);
        await using var ours = await OurQueue.CreateAsync(app, time, TimeSpan.Zero, OurQueue.Concurrency, cancellationToken);
        await using var hangfire = new HangfireQueue(app.Superuser, time, say);
        var queues = new List<IQueue> { ours, hangfire };
        try
        {
            var boss = await PgBossQueue.FetchAsync(app.Superuser, say, cancellationToken);
            queues.AddRange([boss, boss.InSmallBatches()]);
        }
        catch (Exception e) when (e is InvalidOperationException or System.ComponentModel.Win32Exception)
        {
            say($"pg-boss cannot be measured here: {e.Message}");
        }

        foreach (var queue in queues)
        {
            say($"{queue.Name}: warming up.");
            // A service is warm: .NET compiles what runs often anew, after thousands of jobs only.
            var warm = (int)(WarmUp * queue.Share);
            await queue.EnqueueBulkAsync(warm, cancellationToken);
            await queue.DrainAsync(warm, cancellationToken);
            await queue.EnqueueSingleAsync(warm / 10, SingleCallers, cancellationToken);
            await queue.DrainAsync(warm / 10, cancellationToken);
        }

        var results = new Dictionary<(Load, IQueue), List<Round>>();
        await RoundsAsync(Load.Plain);
        var webhooks = await WebhookCost.MeasureAsync(ours, app.Superuser, jobs, rounds, say, cancellationToken);
        await using (await HoldAsync(app.Superuser, cancellationToken))
            await RoundsAsync(Load.Held);
        foreach (var queue in queues)
        {
            say($"{queue.Name}: seeding {Finished} finished jobs.");
            await queue.SeedFinishedAsync(Finished, cancellationToken);
        }

        await VacuumAsync(app.Superuser, cancellationToken);
        await RoundsAsync(Load.Full);
        var plan = "";
        await using (await HoldAsync(app.Superuser, cancellationToken))
        {
            await RoundsAsync(Load.FullAndHeld);
            plan = await ClaimPlan.ReadAsync(ours, app.Superuser, cancellationToken);
        }

        Console.WriteLine(ToMarkdown(queues, results));
        Console.WriteLine(webhooks);
        Console.WriteLine(plan);
        return 0;

        async Task RoundsAsync(Load load)
        {
            for (var round = 0; round < rounds; round++)
            {
                // Whoever is first in one round is last in the next: what else the machine does falls on all of them.
                foreach (var queue in Enumerable.Range(0, queues.Count).Select(i => queues[(i + round) % queues.Count]))
                {
                    if (!results.TryGetValue((load, queue), out var list))
                        results[(load, queue)] = list = [];
                    try
                    {
                        list.Add(await MeasureAsync(queue, cancellationToken));
                        say($"{load}, round {round + 1}, {queue.Name}: {list[^1]}");
                    }
                    catch (Exception e) when (queue != ours && e is not OperationCanceledException)
                    {
                        // What a peer cannot do is told, and is not the end of the run.
                        say($"{load}, round {round + 1}, {queue.Name} failed: {e.Message} {e.InnerException?.Message}");
                    }
                }
            }
        }
    }

    private async Task<Round> MeasureAsync(IQueue queue, CancellationToken cancellationToken)
    {
        var (singles, all) = ((int)(jobs * queue.Share / 4), (int)(jobs * queue.Share));
        var single = singles / await queue.EnqueueSingleAsync(singles, SingleCallers, cancellationToken);
        await queue.DrainAsync(singles, cancellationToken);
        var bulk = all / await queue.EnqueueBulkAsync(all, cancellationToken);
        var drained = all / await queue.DrainAsync(all, cancellationToken);
        return new Round(single, bulk, drained, await queue.LatencyAsync(Probes, Apart, cancellationToken));
    }

    /// <summary>A snapshot that keeps vacuum from taking away anything younger, as a forgotten transaction or a long report does.</summary>
    private static async Task<IAsyncDisposable> HoldAsync(string superuser, CancellationToken cancellationToken)
    {
        var connection = new NpgsqlConnection(new NpgsqlConnectionStringBuilder(superuser) { Pooling = false }.ConnectionString);
        await connection.OpenAsync(cancellationToken);
        await using var begin = new NpgsqlCommand("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT pg_current_xact_id()", connection);
        await begin.ExecuteNonQueryAsync(cancellationToken);
        return connection;
    }

    /// <summary>What autovacuum would have done long ago at an ordinary pace: the seeding was no ordinary pace.</summary>
    private static async Task VacuumAsync(string superuser, CancellationToken cancellationToken)
    {
        await using var source = NpgsqlDataSource.Create(superuser);
        await using var command = source.CreateCommand("VACUUM ANALYZE");
        command.CommandTimeout = 600;
        await command.ExecuteNonQueryAsync(cancellationToken);
    }

    private string ToMarkdown(List<IQueue> queues, Dictionary<(Load, IQueue), List<Round>> results)
    {
        var text = new StringBuilder();
        text.AppendLine(CultureInfo.InvariantCulture, $"| No-op jobs, {jobs} a round, median of {rounds} rounds (lowest to highest) | {string.Join(" | ", queues.Select(q => q.Name))} |");
        text.AppendLine($"|---|{string.Concat(queues.Select(_ => "--:|"))}");
        foreach (var (load, name) in new[] { (Load.Plain, ""), (Load.Held, ", a transaction held open"), (Load.Full, $", after {Finished} finished jobs"), (Load.FullAndHeld, ", both") })
        {
            Row($"enqueued one by one by {SingleCallers} callers, jobs/s{name}", r => r.Single);
            Row($"enqueued in bulk, jobs/s{name}", r => r.Bulk);
            Row($"through the workers, jobs/s{name}", r => r.Drained);
            Line($"from queued to started at 20 jobs/s, p50 / p99 ms{name}", list => Latencies.Of(list.SelectMany(r => r.Waits)) is var l
                ? string.Create(CultureInfo.InvariantCulture, $"{l.P50:0.0} / {l.P99:0.0}{(list.Count < rounds ? $"; {rounds - list.Count} rounds failed" : "")}") : "");

            void Row(string what, Func<Round, double?> figure) => Line(what, list =>
            {
                var sorted = list.Select(figure).OfType<double>().Order().ToArray();
                return sorted.Length == 0 ? "none" : string.Create(CultureInfo.InvariantCulture, $"{sorted[sorted.Length / 2]:0} ({sorted[0]:0} to {sorted[^1]:0})");
            });

            void Line(string what, Func<List<Round>, string> cell) => text.AppendLine($"| {what} | {string.Join(" | ", queues.Select(q => cell(results[(load, q)])))} |");
        }

        return text.ToString();
    }

    /// <param name="Single">Jobs a second, one a commit.</param>
    /// <param name="Bulk">Jobs a second; null without a bulk call.</param>
    /// <param name="Drained">Jobs a second through the workers.</param>
    /// <param name="Waits">Milliseconds, unsorted.</param>
    private sealed record Round(double Single, double? Bulk, double Drained, IReadOnlyList<double> Waits)
    {
        public override string ToString() => string.Create(
            CultureInfo.InvariantCulture, $"single {Single:0}/s, bulk {Bulk:0}/s, through the workers {Drained:0}/s, {Latencies.Of(Waits)}");
    }
}
