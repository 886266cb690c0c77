namespace AiAspire.Evaluator.Statistics;

/// <summary>
/// The percentile bootstrap of a mean of per-case differences. The case is what is resampled, with its repeats inside:
/// repeats of one case are not independent evidence. B. Efron and R. J. Tibshirani, "An Introduction to the Bootstrap",
/// Chapman and Hall (1993), chapters 13 and 17.
/// </summary>
public static class PairedBootstrap
{
    /// <summary>Enough for a 5 % point that is stable in the third decimal for suites of this size.</summary>
    public const int Resamples = 10_000;

    /// <summary>
    /// The <paramref name="alpha"/> and 1 − <paramref name="alpha"/> points of the mean's bootstrap distribution: each end
    /// is a one-sided bound. The same seed gives the same answer.
    /// </summary>
    public static Interval OfMean(IReadOnlyList<double> differences, int seed, double alpha = 0.05)
    {
        ArgumentNullException.ThrowIfNull(differences);
        ArgumentOutOfRangeException.ThrowIfZero(differences.Count, nameof(differences));

        var random = new Random(seed);
        var means = new double[Resamples];
        for (var i = 0; i < means.Length; i++)
        {
            var sum = 0.0;
            for (var drawn = 0; drawn < differences.Count; drawn++)
                sum += differences[random.Next(differences.Count)];
            means[i] = sum / differences.Count;
        }

        Array.Sort(means);
        var tail = (int)Math.Floor(alpha * Resamples);
        return new Interval(means[tail], means[^(tail + 1)]);
    }
}
