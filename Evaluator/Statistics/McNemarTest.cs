namespace AiAspire.Evaluator.Statistics;

/// <summary>
/// The exact test on paired verdicts. Only cases whose verdict changed carry information: under "no difference" each of
/// them is as likely a regression as a fix. Q. McNemar, "Note on the Sampling Error of the Difference between Correlated
/// Proportions or Percentages", Psychometrika 12 (1947), 153–157, in its exact (binomial) form.
/// </summary>
public static class McNemarTest
{
    /// <summary>The probability of at least so many regressions if the candidate were no worse.</summary>
    /// <param name="regressions">Cases the baseline passed and the candidate failed.</param>
    /// <param name="fixes">Cases the baseline failed and the candidate passed.</param>
    public static double OneSided(int regressions, int fixes)
    {
        Check(regressions, fixes);
        return Binomial.UpperTail(regressions, regressions + fixes, 0.5);
    }

    /// <summary>The probability of so uneven a split in either direction if there were no difference.</summary>
    /// <param name="regressions">Cases the baseline passed and the candidate failed.</param>
    /// <param name="fixes">Cases the baseline failed and the candidate passed.</param>
    public static double TwoSided(int regressions, int fixes)
    {
        Check(regressions, fixes);
        return Math.Min(1, 2 * Binomial.UpperTail(Math.Max(regressions, fixes), regressions + fixes, 0.5));
    }

    private static void Check(int regressions, int fixes)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(regressions);
        ArgumentOutOfRangeException.ThrowIfNegative(fixes);
    }
}
