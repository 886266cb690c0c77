using System.Globalization;

namespace AiAspire.Load.Throughput;

/// <summary>
/// The part of <see cref="ThroughputRun"/> whose goal is nearest: no-op jobs queued in bulk, ours and pg-boss's in turn, on a database that holds nothing else. The ratio
/// is taken within each round, as a machine that is busy for a minute is busy for both.
/// </summary>
internal sealed class BulkRun(int jobs, int rounds, TimeProvider time, Action<string> say)
{
    private const int WarmUps = 2;

    public async Task<int> RunAsync(CancellationToken cancellationToken)
    {
        await using var app = await LoadApplication.StartAsync(time, say, cancellationToken);
        await using var ours = await OurQueue.CreateAsync(app, time, TimeSpan.Zero, OurQueue.Concurrency, cancellationToken);
        await using var boss = await PgBossQueue.FetchAsync(app.Superuser, say, cancellationToken);
        var measured = new List<(double Ours, double Boss)>();
        for (var round = -WarmUps; round < rounds; round++)
        {
            var (first, second) = round % 2 == 0 ? ((IQueue)ours, (IQueue)boss) : (boss, ours);
            var (a, b) = (await RateAsync(first), await RateAsync(second));
            var rates = first == ours ? (Ours: a, Boss: b) : (Ours: b, Boss: a);
            say(string.Create(CultureInfo.InvariantCulture, $"{(round < 0 ? "Warming up" : $"Round {round + 1}")}: {rates.Ours:0} and {rates.Boss:0} jobs/s, {rates.Ours / rates.Boss:0.00} times."));
            if (round >= 0)
                measured.Add(rates);
        }

        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"| {jobs} no-op jobs queued in bulk, {rounds} rounds in turn | median | lowest | highest |"));
        Console.WriteLine("|---|--:|--:|--:|");
        Console.WriteLine(Row("ours, jobs/s", measured.Select(r => r.Ours), "0"));
        Console.WriteLine(Row($"{boss.Name}, jobs/s", measured.Select(r => r.Boss), "0"));
        Console.WriteLine(Row("ours to it, within a round", measured.Select(r => r.Ours / r.Boss), "0.00"));
        return 0;

        async Task<double> RateAsync(IQueue queue)
        {
            var rate = jobs / (await queue.EnqueueBulkAsync(jobs, cancellationToken) ?? throw new InvalidOperationException($"{queue.Name} takes no jobs in bulk."));
            await queue.DrainAsync(jobs, cancellationToken);
            return rate;
        }
    }

    private static string Row(string what, IEnumerable<double> values, string format)
    {
        var sorted = values.Order().ToArray();
        var (below, above) = (sorted[(sorted.Length - 1) / 2], sorted[sorted.Length / 2]);
        return $"| {what} | {Text((below + above) / 2)} | {Text(sorted[0])} | {Text(sorted[^1])} |";

        string Text(double value) => value.ToString(format, CultureInfo.InvariantCulture);
    }
}
