namespace AiAspire.Evaluator.Statistics;

/// <summary>The binomial distribution, summed exactly; meant for the sample sizes of a suite (up to some thousands).</summary>
internal static class Binomial
{
    /// <summary>P(X ≥ <paramref name="successes"/>) for X ~ Binomial(<paramref name="trials"/>, <paramref name="p"/>).</summary>
    public static double UpperTail(int successes, int trials, double p)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(trials);
        if (successes <= 0)
            return 1;
        if (successes > trials)
            return 0;
        if (p <= 0)
            return 0;
        if (p >= 1)
            return 1;

        // In logarithms, so that neither the coefficient overflows nor the power vanishes.
        var logCoefficient = 0.0;
        for (var i = 1; i <= successes; i++)
            logCoefficient += Math.Log(trials - successes + i) - Math.Log(i);
        var sum = 0.0;
        for (var k = successes; k <= trials; k++)
        {
            sum += Math.Exp(logCoefficient + (k * Math.Log(p)) + ((trials - k) * Math.Log(1 - p)));
            logCoefficient += Math.Log(trials - k) - Math.Log(k + 1);
        }

        return Math.Min(1, sum);
    }
}
