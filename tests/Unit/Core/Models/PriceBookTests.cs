using AiAspire.Core.Data;
using AiAspire.Core.Models;
using Microsoft.Extensions.Time.Testing;

namespace AiAspire.Unit.CoreTests.Models;

public sealed class PriceBookTests
{
    private readonly FakeTimeProvider _time = SampleCalls.Time();

    [Fact]
    public void The_latest_price_that_is_in_force_holds()
    {
        var book = new PriceBook(null!, _time);
        book.Hold([Price(9, hours: 1), Price(1, hours: -48), Price(5, hours: -1)]);
        var target = SampleCalls.Target("one").Target;

        Assert.Equal(5, book.Find(target)!.Input);
        _time.Advance(TimeSpan.FromHours(1));
        Assert.Equal(9, book.Find(target)!.Input);
    }

    [Fact]
    public void A_free_price_is_free_in_every_class_and_above_every_threshold()
    {
        Assert.True(SampleCalls.Price("p", 0, 0).IsFree);
        Assert.False(SampleCalls.Price("p", 0, 0, cached: 1).IsFree);
        Assert.False(SampleCalls.Price("p", 0, 0, longContext: new LongContextPrice(10, 0, 0, 0, 1, 1)).IsFree);
    }

    [Fact]
    public void Without_a_price_in_force_there_is_none_and_never_a_zero()
    {
        var book = new PriceBook(null!, _time);
        Assert.Null(book.Find(SampleCalls.Target("one").Target));
        book.Hold([Price(9, hours: 1)]);
        Assert.Null(book.Find(SampleCalls.Target("one").Target));
        Assert.Null(book.Find(SampleCalls.Target("two").Target));
    }

    private static ModelPrice Price(decimal input, int hours) => new()
    {
        TenantId = TenantScope.PlatformTenantId,
        PriceId = SampleCalls.Id(),
        Provider = "one",
        UpstreamModel = "one-model",
        EffectiveFrom = SampleCalls.Now.AddHours(hours),
        Input = input,
        CachedInput = input,
        CacheWrite = input,
        Output = input,
        Reasoning = input,
    };
}
