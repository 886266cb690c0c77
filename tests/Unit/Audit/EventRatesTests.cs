using AiAspire.Core.Audit;

namespace AiAspire.Unit.Audit;

[Trait("Checklist", "CONV-08")]
public sealed class EventRatesTests
{
    private static readonly Guid Other = new("01990000-0000-7000-8000-00000000000b");

    [Fact]
    public void A_source_and_a_chain_have_their_share_and_what_is_dropped_is_counted()
    {
        var rates = new EventRates(perSource: 2, perChain: 3);
        Assert.Equal([true, true, false], Enumerable.Range(0, 3).Select(_ => rates.TryTake(Chain.Tenant, "a")));
        Assert.Equal([true, false], Enumerable.Range(0, 2).Select(_ => rates.TryTake(Chain.Tenant, "b")));
        Assert.True(rates.TryTake(Other, "a"));
        Assert.Equal([(Chain.Tenant, 2L)], rates.StartNext());
        Assert.Empty(rates.StartNext());
        Assert.True(rates.TryTake(Chain.Tenant, "a"));
    }
}
