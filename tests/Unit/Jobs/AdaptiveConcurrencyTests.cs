using AiAspire.Workers.Jobs;
using Microsoft.Extensions.Time.Testing;

namespace AiAspire.Unit.Jobs;

public sealed class AdaptiveConcurrencyTests
{
    private readonly FakeTimeProvider _time = new();

    [Fact]
    [Trait("Checklist", "COST-09")]
    public void One_overload_halves_once_however_many_jobs_tell_of_it()
    {
        var concurrency = new AdaptiveConcurrency(16, _time);
        for (var job = 0; job < 16; job++)
            concurrency.Throttled();
        Assert.Equal(8, concurrency.Current);

        _time.Advance(TimeSpan.FromSeconds(3));
        concurrency.Throttled();
        Assert.Equal(4, concurrency.Current);
    }

    [Fact]
    public void It_never_sinks_below_one_and_comes_back_by_one_a_round_up_to_the_most()
    {
        var concurrency = new AdaptiveConcurrency(4, _time);
        for (var overload = 0; overload < 10; overload++)
        {
            concurrency.Throttled();
            _time.Advance(TimeSpan.FromSeconds(3));
        }

        Assert.Equal(1, concurrency.Current);
        concurrency.WentWell();
        Assert.Equal(2, concurrency.Current);
        for (var job = 0; job < 100; job++)
            concurrency.WentWell();
        Assert.Equal(4, concurrency.Current);
    }
}
