using AiAspire.Core.Chat;
using AiAspire.Core.Jobs;
using AiAspire.Core.Wire;
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
        var concurrency = new AdaptiveConcurrency(64, _time);
        for (var job = 0; job < 64; job++)
            concurrency.Throttled();
        Assert.Equal(32, concurrency.Current);

        _time.Advance(TimeSpan.FromSeconds(3));
        concurrency.Throttled();
        Assert.Equal(16, concurrency.Current);
    }

    [Theory]
    [Trait("Checklist", "LOAD-08")]
    [InlineData(100, 8)]
    [InlineData(4, 4)]
    public void It_never_sinks_so_low_that_one_tenant_may_fill_it_and_comes_back_by_one_a_round_up_to_the_most(int most, int fewest)
    {
        var concurrency = new AdaptiveConcurrency(most, _time);
        for (var overload = 0; overload < 10; overload++)
        {
            concurrency.Throttled();
            _time.Advance(TimeSpan.FromSeconds(3));
        }

        Assert.Equal(fewest, concurrency.Current);
        for (var job = 0; job <= fewest; job++)
            concurrency.WentWell();
        Assert.Equal(Math.Min(most, fewest + 1), concurrency.Current);
        for (var job = 0; job < most * most; job++)
            concurrency.WentWell();
        Assert.Equal(most, concurrency.Current);
    }

    [Theory]
    [InlineData(429, "provider_rate_limited", true)]
    [InlineData(503, "provider_unavailable", false)]
    [InlineData(429, "rate_limit_exceeded", false)]
    public void Only_a_provider_that_says_slower_slows_a_worker_down(int status, string code, bool slower)
    {
        var outcome = Assert.IsType<JobRetryException>(JobCalls.Outcome(new WireException(status, "server_error", code, "No.")));

        Assert.Equal((slower, false), (outcome.Throttled, outcome.CountsAsTry));
    }
}
