using System.Globalization;
using System.Text;
using Npgsql;

namespace AiAspire.Load.Throughput;

/// <summary>
/// No-op jobs through three queues on one PostgreSQL, each in turn with the machine to itself. Ours carries what it carries in production
/// (encryption, row-level security, fences, history); the peers are given their fastest settings.
/// </summary>
internal sealed class ThroughputRun(int jobs, TimeProvider time, Action<string> say)
{
    private const int Finished = 1_000_000;
    private const int SingleCallers = 16;
    private const int Probes = 200;
    private const string PgBossVersion = "12.38.0";
    private static readonly TimeSpan Apart = TimeSpan.FromMilliseconds(50);

    public async Task<int> RunAsync(CancellationToken cancellationToken)
    {
        await using var app = await LoadApplication.StartAsync(time, say, cancellationToken);
        await using var ours = await OurQueue.CreateAsync(app, time, TimeSpan.Zero, cancellationToken);
        await using var hangfire = new HangfireQueue(app.Superuser, time);
        var queues = new List<IQueue> { ours, hangfire };
        try
        {
            queues.Add(await PgBossQueue.FetchAsync(app.Superuser, PgBossVersion, cancellationToken));
        }
        catch (Exception e) when (e is InvalidOperationException or System.ComponentModel.Win32Exception)
        {
            say($"pg-boss cannot be measured here: {e.Message}");
        }

        var results = new Dictionary<string, Figures>(StringComparer.Ordinal);
        foreach (var queue in queues)
            results[queue.Name] = await MeasureAsync(queue, app.Superuser, cancellationToken);
        await queues[^1].DisposeAsync();
        Console.WriteLine(ToMarkdown(results));
        return 0;
    }

    private async Task<Figures> MeasureAsync(IQueue queue, string superuser, CancellationToken cancellationToken)
    {
        var singles = jobs / 4;
        say($"{queue.Name}: warming up.");
        await queue.EnqueueSingleAsync(200, SingleCallers, cancellationToken);
        await queue.DrainAsync(200, cancellationToken);
        say($"{queue.Name}: {singles} single enqueues.");
        var single = singles / await TimedAsync(queue, () => queue.EnqueueSingleAsync(singles, SingleCallers, cancellationToken));
        await queue.DrainAsync(singles, cancellationToken);
        say($"{queue.Name}: {jobs} in bulk, then all of them through the workers.");
        var bulk = jobs / await TimedAsync(queue, () => queue.EnqueueBulkAsync(jobs, cancellationToken));
        var drained = jobs / await queue.DrainAsync(jobs, cancellationToken);
        say($"{queue.Name}: latency.");
        var latency = await queue.LatencyAsync(Probes, Apart, cancellationToken);
        say($"{queue.Name}: with a transaction held open.");
        double held;
        await using (await HoldAsync(superuser, cancellationToken))
        {
            await queue.EnqueueBulkAsync(jobs, cancellationToken);
            held = jobs / await queue.DrainAsync(jobs, cancellationToken);
        }

        say($"{queue.Name}: after {Finished} finished jobs.");
        await queue.SeedFinishedAsync(Finished, cancellationToken);
        await VacuumAsync(superuser, cancellationToken);
        await queue.EnqueueBulkAsync(jobs, cancellationToken);
        var after = jobs / await queue.DrainAsync(jobs, cancellationToken);
        var figures = new Figures(single, bulk, drained, latency, held, after);
        say($"{queue.Name}: {figures}");
        return figures;
    }

    private async Task<double> TimedAsync(IQueue queue, Func<Task> work)
    {
        var started = time.GetTimestamp();
        await work();
        // The other process's start is not its queue's time.
        return queue is PgBossQueue other ? other.LastSeconds : time.GetElapsedTime(started).TotalSeconds;
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

    private string ToMarkdown(Dictionary<string, Figures> results)
    {
        var text = new StringBuilder();
        text.AppendLine(CultureInfo.InvariantCulture, $"| No-op jobs, {jobs} a phase, {OurQueue.Concurrency} at once | {string.Join(" | ", results.Keys)} |");
        text.AppendLine($"|---|{string.Concat(results.Select(_ => "--:|"))}");
        Row("enqueued one by one, 16 callers, jobs/s", f => f.Single);
        Row("enqueued in bulk, jobs/s", f => f.Bulk);
        Row("through the workers, jobs/s", f => f.Drained);
        Row("… with a transaction held open, jobs/s", f => f.Held);
        Row(string.Create(CultureInfo.InvariantCulture, $"… after {Finished} finished jobs, jobs/s"), f => f.AfterMany);
        Row("from queued to started at 20 jobs/s, p50 ms", f => f.Latency.P50, "0.0");
        Row("from queued to started at 20 jobs/s, p99 ms", f => f.Latency.P99, "0.0");
        return text.ToString();

        void Row(string what, Func<Figures, double> figure, string format = "0")
            => text.AppendLine($"| {what} | {string.Join(" | ", results.Values.Select(f => figure(f).ToString(format, CultureInfo.InvariantCulture)))} |");
    }

    private sealed record Figures(double Single, double Bulk, double Drained, Latencies Latency, double Held, double AfterMany);
}
