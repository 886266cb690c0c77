using AiAspire.Evaluator.Statistics;

namespace AiAspire.Unit.Evaluator;

public sealed class StatisticsTests
{
    // Newcombe (1998), table I, method 3.
    [Theory]
    [InlineData(81, 263, 0.2553, 0.3662)]
    [InlineData(15, 148, 0.0624, 0.1605)]
    [InlineData(0, 20, 0.0000, 0.1611)]
    [InlineData(1, 29, 0.0061, 0.1718)]
    public void Wilson_agrees_with_published_values(int successes, int trials, double low, double high)
    {
        var interval = ProportionInterval.Wilson(successes, trials);

        Assert.Equal(low, interval.Low, 4);
        Assert.Equal(high, interval.High, 4);
    }

    // Newcombe (1998), table I, method 5.
    [Theory]
    [InlineData(81, 263, 0.2527, 0.3676)]
    [InlineData(15, 148, 0.0578, 0.1617)]
    [InlineData(0, 20, 0.0000, 0.1684)]
    [InlineData(1, 29, 0.0009, 0.1776)]
    public void Clopper_Pearson_agrees_with_published_values(int successes, int trials, double low, double high)
    {
        var interval = ProportionInterval.ClopperPearson(successes, trials);

        Assert.Equal(low, interval.Low, 4);
        Assert.Equal(high, interval.High, 4);
    }

    [Theory]
    [InlineData(50)]
    [InlineData(30)]
    [InlineData(1)]
    public void The_bound_of_nothing_in_n_has_its_closed_form(int n) =>
        Assert.Equal(1 - Math.Pow(0.05, 1.0 / n), ProportionInterval.UpperBound(0, n, 0.05), 9);

    // With the bound of 0.8: the smallest counts that prove "over 80 %" one-sided.
    [Theory]
    [InlineData(45, 50)]
    [InlineData(37, 40)]
    [InlineData(28, 30)]
    [InlineData(20, 20)]
    public void So_many_passes_prove_more_than_80_percent_and_one_fewer_does_not(int passes, int cases)
    {
        Assert.True(ProportionInterval.LowerBound(passes, cases, 0.05) > 0.8);
        Assert.False(ProportionInterval.LowerBound(passes - 1, cases, 0.05) > 0.8);
    }

    [Theory]
    [InlineData(0, 0, 1, 1)]
    [InlineData(4, 0, 0.0625, 0.125)]
    [InlineData(5, 0, 0.03125, 0.0625)]
    [InlineData(7, 1, 9.0 / 256, 18.0 / 256)]
    [InlineData(0, 5, 1, 0.0625)]
    [InlineData(3, 3, 42.0 / 64, 1)]
    public void McNemar_is_the_binomial_of_the_flips(int regressions, int fixes, double oneSided, double twoSided)
    {
        Assert.Equal(oneSided, McNemarTest.OneSided(regressions, fixes), 12);
        Assert.Equal(twoSided, McNemarTest.TwoSided(regressions, fixes), 12);
    }

    [Fact]
    public void The_bootstrap_is_deterministic_and_near_the_normal_theory()
    {
        double[] differences = [.. Enumerable.Range(0, 40).Select(i => (i % 5 - 2) / 10.0)];

        var bounds = PairedBootstrap.OfMean(differences, seed: 7);

        Assert.Equal(bounds, PairedBootstrap.OfMean(differences, seed: 7));
        // Standard deviation 0.1414, standard error 0.02236, times 1.645.
        Assert.InRange(bounds.Low, -0.042, -0.032);
        Assert.InRange(bounds.High, 0.032, 0.042);
    }

    [Fact]
    public void Impossible_counts_are_refused()
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => ProportionInterval.Wilson(3, 2));
        Assert.Throws<ArgumentOutOfRangeException>(() => McNemarTest.OneSided(-1, 0));
        Assert.Throws<ArgumentOutOfRangeException>(() => PairedBootstrap.OfMean([], 1));
    }
}
