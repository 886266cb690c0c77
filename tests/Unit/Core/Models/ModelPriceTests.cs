using AiAspire.Core.Ledger;
using AiAspire.Core.Models;
using AiAspire.Core.Wire;
using CsCheck;

namespace AiAspire.Unit.CoreTests.Models;

public sealed class ModelPriceTests
{
    private static readonly Gen<long> Tokens = Gen.Long[0, 2_000_000];
    private static readonly Gen<TokenUsage> Usages = Gen.Select(Tokens, Tokens, Tokens, Tokens).Select((i, c, w, o) => new TokenUsage(i, c, w, o, o / 2));

    /// <summary>To the millionth of a dollar, as the table holds them.</summary>
    private static readonly Gen<decimal> Dollars = Gen.Long[0, 200_000_000].Select(n => n / 1_000_000m);

    private static readonly Gen<ModelPrice> Prices = Gen.Select(Dollars, Dollars, Dollars, Dollars).Select((i, o, c, w) => SampleCalls.Price("p", i, o, c, w));

    [Theory]
    [InlineData(1_000_000, 0, 0, 0, "2.5")]
    [InlineData(0, 1_000_000, 0, 0, "0.25")]
    [InlineData(0, 0, 1_000_000, 0, "3.75")]
    [InlineData(0, 0, 0, 1_000_000, "10")]
    [InlineData(1, 0, 0, 0, "0.0000025")]
    [InlineData(0, 1, 0, 0, "0.00000025")]
    [InlineData(123, 45, 6, 789, "0.00823125")]
    [InlineData(0, 0, 0, 0, "0")]
    public void A_cost_is_exact(long input, long cached, long written, long output, string dollars)
        => Assert.Equal(
            decimal.Parse(dollars, System.Globalization.CultureInfo.InvariantCulture),
            SampleCalls.Price("p", 2.5m, 10m, 0.25m, 3.75m).CostOf(new TokenUsage(input, cached, written, output, 0)));

    [Fact]
    public void Costs_add_up_without_a_rest()
        => Gen.Select(Prices, Usages, Usages).Sample((price, a, b) => Assert.Equal(price.CostOf(a) + price.CostOf(b), price.CostOf(a + b)));

    [Fact]
    public void A_thousand_small_calls_cost_as_much_as_one_large()
    {
        var price = SampleCalls.Price("p", 0.15m, 0.6m);

        Assert.Equal(price.CostOf(new TokenUsage(7000, 0, 0, 3000, 0)), Enumerable.Range(0, 1000).Sum(_ => price.CostOf(new TokenUsage(7, 0, 0, 3, 0))));
    }

    [Fact]
    public void Each_class_is_charged_at_its_own_price_once()
        => Gen.Select(Prices, Usages).Sample((price, usage) =>
        {
            Assert.Equal(
                price.CostOf(usage),
                price.CostOf(new TokenUsage(usage.Input, 0, 0, 0, 0)) + price.CostOf(new TokenUsage(0, usage.CachedInput, 0, 0, 0))
                + price.CostOf(new TokenUsage(0, 0, usage.CacheWrite, 0, 0)) + price.CostOf(new TokenUsage(0, 0, 0, usage.Output, 0)));
            // Reasoning is a part of the output, never a charge beside it.
            Assert.Equal(price.CostOf(usage), price.CostOf(usage with { Reasoning = 0 }));
        });

    [Fact]
    public void Moving_a_token_from_input_to_cached_changes_the_cost_by_the_difference_of_the_prices()
        => Gen.Select(Prices, Usages.Where(u => u.Input > 0)).Sample((price, usage) =>
        {
            var moved = usage with { Input = usage.Input - 1, CachedInput = usage.CachedInput + 1 };

            Assert.Equal(usage.TotalInput, moved.TotalInput);
            Assert.Equal(price.CostOf(usage) + ((price.CachedInput - price.Input) / 1_000_000m), price.CostOf(moved));
        });

    [Theory]
    [InlineData(200_000, 0, 0, "0.6")]
    [InlineData(200_001, 0, 0, "1.200006")]
    [InlineData(1, 200_000, 0, "0.120006")]
    [InlineData(100_000, 0, 1_000, "0.315")]
    [InlineData(200_001, 0, 1_000, "1.222506")]
    public void Above_a_threshold_the_whole_request_has_other_rates(long input, long cached, long output, string dollars)
        => Assert.Equal(decimal.Parse(dollars, System.Globalization.CultureInfo.InvariantCulture), LongContext.CostOf(new TokenUsage(input, cached, 0, output, 0)));

    [Fact]
    public void Reasoning_has_a_price_of_its_own_within_the_output()
        => Assert.Equal(((60 * 10m) + (40 * 12m)) / 1_000_000m, Price(10, reasoning: 12).CostOf(new TokenUsage(0, 0, 0, 100, 40)));

    [Theory]
    [InlineData(200_000, 3, 15)]
    [InlineData(200_001, 7.5, 22.5)] // A write to the cache is dearer than other input.
    public void The_dearest_price_is_that_of_the_side_of_the_threshold_that_the_estimate_is_on(long estimate, double input, double output)
        => Assert.Equal(((decimal)input, (decimal)output), LongContext.Dearest(estimate));

    /// <summary>Whatever classes the tokens turn out to be of: as long as there are no more of them than estimated, the reservation pays for them.</summary>
    [Fact]
    [Trait("Checklist", "COST-04")]
    public void No_request_costs_more_than_was_reserved_for_it()
        => Gen.Select(Dollars.Array[10], Gen.Long[1, 500_000], Usages).Sample((rates, above, usage) =>
        {
            var price = Price(rates[0], rates[1], rates[2], rates[3], rates[4], new LongContextPrice(above, rates[5], rates[6], rates[7], rates[8], rates[9]));

            Assert.True(price.CostOf(usage) <= price.MostCost(usage.TotalInput, usage.Output), $"{usage} costs {price.CostOf(usage)} at {price.MostCost(usage.TotalInput, usage.Output)} at most");
        });

    private static readonly ModelPrice LongContext = Price(15, input: 3, cached: 0.3m, longContext: new LongContextPrice(200_000, 6, 0.6m, 7.5m, 22.5m, 22.5m));

    private static ModelPrice Price(
        decimal output, decimal input = 3, decimal? cached = null, decimal? write = null, decimal? reasoning = null, params LongContextPrice[] longContext) => new()
        {
            TenantId = AiAspire.Core.Data.TenantScope.PlatformTenantId,
            PriceId = SampleCalls.Id(),
            Provider = "p",
            UpstreamModel = "p-model",
            EffectiveFrom = SampleCalls.Now,
            Input = input,
            CachedInput = cached ?? input,
            CacheWrite = write ?? input,
            Output = output,
            Reasoning = reasoning ?? output,
            LongContext = longContext,
        };

    [Fact]
    public void A_nonsensical_report_overflows_nothing()
        => Assert.True(SampleCalls.Price("p", 75, 600).CostOf(new TokenUsage(int.MaxValue, 0, 0, int.MaxValue, int.MaxValue)) > 0);

    [Fact]
    [Trait("Checklist", "PROV-09")]
    public void The_cost_is_known_when_the_call_is_settled_and_only_what_served_is_charged()
    {
        var (first, second) = (SampleCalls.Target("one", 2, 8), SampleCalls.Target("two", 3, 15));
        var call = SampleCalls.Call();
        SampleCalls.Attempt(call, first, AttemptOutcome.Failed, new TokenUsage(1000, 0, 0, 0, 0));
        SampleCalls.Attempt(call, second, AttemptOutcome.Succeeded, new TokenUsage(1000, 0, 0, 100, 0));

        Assert.Equal(0.0045m, new SettledCall(call, "succeeded", SampleCalls.Now, TimeSpan.FromSeconds(1)).ChargedCost);
        Assert.Equal(0.0065m, call.Attempts.Sum(a => a.Cost));
    }

    [Fact]
    public void A_call_that_nothing_served_costs_nothing()
    {
        var call = SampleCalls.Call();
        SampleCalls.Attempt(call, SampleCalls.Target(), AttemptOutcome.Failed, new TokenUsage(1000, 0, 0, 50, 0));

        Assert.Equal(0m, new SettledCall(call, "failed", SampleCalls.Now, TimeSpan.FromSeconds(1)).ChargedCost);
    }

    [Fact]
    [Trait("Checklist", "LOAD-08")]
    public void What_will_be_done_again_is_not_charged()
    {
        var call = SampleCalls.Call();
        SampleCalls.Attempt(call, SampleCalls.Target(), AttemptOutcome.Aborted, new TokenUsage(1000, 0, 0, 50, 0));

        Assert.Equal(0m, new SettledCall(call, "aborted", SampleCalls.Now, TimeSpan.FromSeconds(1), Charged: false).ChargedCost);
        Assert.True(call.Attempts.Sum(a => a.Cost) > 0);
    }
}
