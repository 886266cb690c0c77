namespace AiAspire.Evaluator.Statistics;

/// <summary>Confidence intervals of a pass rate.</summary>
public static class ProportionInterval
{
    // The 97.5 % point of the standard normal distribution.
    private const double Z95 = 1.959963984540054;
    private const double BisectionPrecision = 1e-12;

    /// <summary>
    /// The two-sided 95 % score interval. Unlike the textbook interval it stays inside 0..1 and is usable for few cases.
    /// E. B. Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", JASA 22 (1927), 209–212;
    /// compared with others in R. G. Newcombe, Statistics in Medicine 17 (1998), 857–872.
    /// </summary>
    public static Interval Wilson(int successes, int trials)
    {
        Check(successes, trials);
        if (trials == 0)
            return new Interval(0, 1);

        const double Z2 = Z95 * Z95;
        double n = trials;
        var rate = successes / n;
        var centre = (rate + (Z2 / (2 * n))) / (1 + (Z2 / n));
        var half = Z95 / (1 + (Z2 / n)) * Math.Sqrt((rate * (1 - rate) / n) + (Z2 / (4 * n * n)));
        return new Interval(
            successes == 0 ? 0 : Math.Max(0, centre - half),
            successes == trials ? 1 : Math.Min(1, centre + half));
    }

    /// <summary>
    /// The exact two-sided interval, never narrower than it claims.
    /// C. J. Clopper and E. S. Pearson, "The Use of Confidence or Fiducial Limits…", Biometrika 26 (1934), 404–413.
    /// </summary>
    /// <param name="successes">What was counted.</param>
    /// <param name="trials">Out of how many.</param>
    /// <param name="confidence">For example 0.95.</param>
    public static Interval ClopperPearson(int successes, int trials, double confidence = 0.95)
    {
        var tail = (1 - confidence) / 2;
        return new Interval(LowerBound(successes, trials, tail), UpperBound(successes, trials, tail));
    }

    /// <summary>The exact one-sided upper bound: the largest rate under which so few successes have probability ≥ <paramref name="alpha"/>.</summary>
    public static double UpperBound(int successes, int trials, double alpha)
    {
        Check(successes, trials);
        // P(X ≤ s) = 1 − P(X ≥ s + 1), decreasing in p.
        return successes == trials ? 1 : Bisect(p => 1 - Binomial.UpperTail(successes + 1, trials, p) >= alpha);
    }

    /// <summary>The exact one-sided lower bound: the smallest rate under which so many successes have probability ≥ <paramref name="alpha"/>.</summary>
    public static double LowerBound(int successes, int trials, double alpha)
    {
        Check(successes, trials);
        return successes == 0 ? 0 : Bisect(p => Binomial.UpperTail(successes, trials, p) < alpha);
    }

    // The point up to which the condition holds.
    private static double Bisect(Func<double, bool> holds)
    {
        var (low, high) = (0.0, 1.0);
        while (high - low > BisectionPrecision)
        {
            var middle = (low + high) / 2;
            if (holds(middle))
                low = middle;
            else
                high = middle;
        }

        return (low + high) / 2;
    }

    private static void Check(int successes, int trials)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(successes);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(successes, trials);
    }
}
