using System.Net;
using AiAspire.Core.Models;
using AiAspire.Core.Routing;
using AiAspire.Core.Wire;

namespace AiAspire.Unit.CoreTests.Routing;

/// <summary>When a failed call is made once more, on a clock that the test moves.</summary>
public sealed class RetryTests : RouteCases
{
    [Fact]
    [Trait("Checklist", "COST-09")]
    public async Task A_429_is_retried_after_what_the_provider_asked_and_no_sooner()
    {
        var asked = TimeSpan.FromSeconds(7);
        Providers.HostInTurn("one", () => FakeProviders.Status(HttpStatusCode.TooManyRequests, retryAfter: asked), () => FakeProviders.Whole("Hi"));
        var call = Call(One);
        var running = Providers.Step(new RoutingOptions()).RunAsync(call);

        Time.Advance(asked - TimeSpan.FromMilliseconds(1));
        Assert.Single(Providers.Log, "call one");
        await FinishAsync(running, asked);

        Assert.Equal(2, Providers.Log.Count(l => l == "call one"));
        Assert.Equal([AttemptOutcome.Failed, AttemptOutcome.Succeeded], call.Attempts.Select(a => a.Outcome));
        // A retry is an attempt like any other: opened on its own, before the call.
        Assert.Equal(["open one", "call one", "open one", "call one"], Providers.Log);
    }

    [Theory]
    [InlineData(0, 0.0, 0)]
    [InlineData(0, 0.5, 250)]
    [InlineData(1, 0.5, 500)]
    [InlineData(2, 0.999, 1998)]
    [InlineData(20, 0.5, 10_000)]
    [Trait("Checklist", "COST-09")]
    public void Backoff_is_uniform_below_an_exponential_bound(int retry, double draw, double milliseconds)
        => Assert.Equal(milliseconds, new RetryPolicy(new RoutingOptions(), () => draw).Backoff(retry).TotalMilliseconds, 3);

    [Fact]
    public async Task A_request_retries_so_often_and_then_says_the_truth()
    {
        Providers.Host("one", () => FakeProviders.Status(HttpStatusCode.InternalServerError));
        var call = Call(One);

        var failure = await Assert.ThrowsAsync<WireException>(() => FinishAsync(Providers.Step(new RoutingOptions { MaxRetries = 2 }).RunAsync(call), TimeSpan.FromSeconds(30)));

        Assert.Equal((502, "provider_server_error"), (failure.Status, failure.Code));
        Assert.Equal(3, call.Attempts.Count);
        Assert.All(call.Attempts, a => Assert.Equal((AttemptOutcome.Failed, 500), (a.Outcome, a.Status)));
    }

    [Fact]
    public async Task Another_target_is_better_than_waiting_and_the_round_begins_again_when_all_have_failed()
    {
        Providers.HostInTurn("one", () => FakeProviders.Status(HttpStatusCode.InternalServerError), () => FakeProviders.Whole("Hi"));
        Providers.Host("two", () => FakeProviders.Status(HttpStatusCode.BadGateway));
        var call = Call(One, Two);

        await FinishAsync(Providers.Step(new RoutingOptions()).RunAsync(call), TimeSpan.FromSeconds(1));

        Assert.Equal(["one", "two", "one"], call.Attempts.Select(a => a.Target.Target.Provider));
    }

    [Fact]
    public async Task In_an_outage_retries_are_a_bounded_share_of_the_requests()
    {
        Providers.Host("one", () => FakeProviders.Status(HttpStatusCode.InternalServerError));
        var step = Providers.Step(new RoutingOptions { RetryRatio = 0.1, RetryReserve = 3, BreakerMinimumCalls = 10_000 });
        for (var i = 0; i < 100; i++)
            await Assert.ThrowsAsync<WireException>(() => FinishAsync(step.RunAsync(Call(One)), TimeSpan.FromSeconds(30)));

        // 3 saved up, and a tenth for each of the 100.
        Assert.InRange(Providers.Log.Count(l => l == "call one"), 100 + 10, 100 + 13);
    }

    [Fact]
    public async Task No_wait_goes_beyond_the_deadline()
    {
        Providers.Host("one", () => FakeProviders.Status(HttpStatusCode.TooManyRequests, retryAfter: TimeSpan.FromSeconds(20)));
        var call = Call(One);

        var failure = await Assert.ThrowsAsync<WireException>(() => FinishAsync(Providers.Step(new RoutingOptions { DeadlineSeconds = 10 }).RunAsync(call), TimeSpan.FromSeconds(1)));

        Assert.Equal((429, "provider_rate_limited"), (failure.Status, failure.Code));
        Assert.InRange(failure.RetryAfter!.Value.TotalSeconds, 18, 20);
        Assert.Single(call.Attempts);
    }
}
