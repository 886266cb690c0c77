using System.Globalization;

namespace AiAspire.Load.Throughput;

/// <summary>A job queue under measurement. Jobs do nothing.</summary>
internal interface IQueue : IAsyncDisposable
{
    string Name { get; }

    /// <summary>Part of the jobs of a phase that it gets, so that a slow one does not make the rounds long; rates are a second's all the same.</summary>
    double Share { get; }

    /// <summary>One job per call and commit, so many callers at once.</summary>
    /// <returns>Seconds.</returns>
    Task<double> EnqueueSingleAsync(int jobs, int callers, CancellationToken cancellationToken);

    /// <summary>In the largest batches the queue is made for.</summary>
    /// <returns>Seconds; null for a queue that takes none.</returns>
    Task<double?> EnqueueBulkAsync(int jobs, CancellationToken cancellationToken);

    /// <summary>Runs workers until the queue is empty; returns seconds from the first to the last job.</summary>
    Task<double> DrainAsync(int jobs, CancellationToken cancellationToken);

    /// <summary>From the call that queues a job to its start, at a few jobs a second with idle workers; milliseconds.</summary>
    Task<IReadOnlyList<double>> LatencyAsync(int jobs, TimeSpan apart, CancellationToken cancellationToken);

    /// <summary>Puts so many finished jobs into the tables, by plain SQL.</summary>
    Task SeedFinishedAsync(int jobs, CancellationToken cancellationToken);
}

/// <summary>Milliseconds.</summary>
internal sealed record Latencies(double P50, double P95, double P99)
{
    public static Latencies Of(IEnumerable<double> values)
    {
        var sorted = values.Order().ToArray();
        return new Latencies(At(0.5), At(0.95), At(0.99));

        double At(double share) => sorted.Length == 0 ? double.NaN : sorted[Math.Min(sorted.Length - 1, (int)(share * sorted.Length))];
    }

    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"p50 {P50:0.0} ms, p99 {P99:0.0} ms");
}
