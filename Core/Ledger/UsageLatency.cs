namespace AiAspire.Core.Ledger;

/// <summary>Latencies counted in classes, which can be added up and still tell quantiles.</summary>
public static class UsageLatency
{
    /// <summary>Upper bounds in milliseconds, as in <c>keep_usage</c> (usage.sql); a last class has none.</summary>
    public static IReadOnlyList<double> BoundsMs { get; } = [50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000];

    /// <summary>The quantile, as a straight line within its class; in the last class, its lower bound. Null without requests.</summary>
    /// <param name="counts">One more than <see cref="BoundsMs"/>.</param>
    /// <param name="quantile">0 to 1.</param>
    public static double? Quantile(IReadOnlyList<long> counts, double quantile)
    {
        var total = counts.Sum();
        if (total == 0)
            return null;
        var (rank, below) = (quantile * total, 0L);
        for (var i = 0; i < BoundsMs.Count; i++)
        {
            if (counts[i] > 0 && below + counts[i] >= rank)
            {
                var lower = i == 0 ? 0 : BoundsMs[i - 1];
                return lower + ((BoundsMs[i] - lower) * Math.Max(0, rank - below) / counts[i]);
            }

            below += counts[i];
        }

        return BoundsMs[^1];
    }
}
