using System.Net;
using AiAspire.Core.Models;
using AiAspire.Core.Routing;
using AiAspire.Core.Wire;
using Polly.CircuitBreaker;
using static AiAspire.Unit.CoreTests.Routing.SampleStreams;

namespace AiAspire.Unit.CoreTests.Routing;

/// <summary>When a target is left alone and when it is taken back, on a clock that the test moves.</summary>
public sealed class BreakerTests : RouteCases
{
    [Fact]
    [Trait("Checklist", "COST-09")]
    public async Task A_target_that_asked_for_rest_is_passed_over_by_other_requests_until_then()
    {
        Providers.HostInTurn("one", () => FakeProviders.Status(HttpStatusCode.TooManyRequests, retryAfter: TimeSpan.FromSeconds(30)), () => FakeProviders.Whole("Hi"));
        Providers.Host("two", () => FakeProviders.Whole("Hi"));
        var step = Providers.Step(new RoutingOptions());
        await step.RunAsync(Call(One, Two));
        Providers.Log.Clear();

        await step.RunAsync(Call(One, Two));
        Assert.Equal(["open two", "call two"], Providers.Log);

        Time.Advance(TimeSpan.FromSeconds(31));
        await step.RunAsync(Call(One, Two));
        Assert.Equal("call one", Providers.Log[^1]);
    }

    [Fact]
    [Trait("Checklist", "PROV-03")]
    public async Task A_failing_target_is_left_alone_probed_by_one_call_and_taken_back()
    {
        var down = true;
        Providers.Host("one", () => down ? FakeProviders.Status(HttpStatusCode.ServiceUnavailable) : FakeProviders.Whole("Hi")).Host("two", () => FakeProviders.Whole("Hi"));
        var step = Providers.Step(new RoutingOptions { BreakerMinimumCalls = 4, BreakSeconds = 5 });
        for (var i = 0; i < 6; i++)
            await step.RunAsync(Call(One, Two));

        // Four calls opened the breaker; the last two went to the fallback at once.
        Assert.Equal(4, Providers.Log.Count(l => l == "call one"));
        Assert.Equal(CircuitState.Open, Breaker.State);

        // The probe fails: twice as long.
        Time.Advance(TimeSpan.FromSeconds(5.1));
        await step.RunAsync(Call(One, Two));
        await step.RunAsync(Call(One, Two));
        Assert.Equal(5, Providers.Log.Count(l => l == "call one"));
        Time.Advance(TimeSpan.FromSeconds(5.1));
        await step.RunAsync(Call(One, Two));
        Assert.Equal(5, Providers.Log.Count(l => l == "call one"));

        down = false;
        Time.Advance(TimeSpan.FromSeconds(5.1));
        Assert.Equal(TimeSpan.Zero, Breaker.Blocked());
        await step.RunAsync(Call(One, Two));
        Assert.Equal(6, Providers.Log.Count(l => l == "call one"));
        Assert.Equal(CircuitState.Closed, Breaker.State);
        Providers.Log.Clear();
        await step.RunAsync(Call(One, Two));
        Assert.Equal(["open one", "call one"], Providers.Log);
    }

    [Fact]
    public async Task When_every_breaker_is_open_the_answer_comes_at_once_with_a_time()
    {
        Providers.Host("one", () => FakeProviders.Status(HttpStatusCode.InternalServerError));
        var step = Providers.Step(new RoutingOptions { MaxRetries = 0 });
        for (var i = 0; i < 4; i++)
            await Assert.ThrowsAsync<WireException>(() => step.RunAsync(Call(One)));
        var call = Call(One);

        var failure = await Assert.ThrowsAsync<WireException>(() => step.RunAsync(call));

        Assert.Equal((503, "provider_unavailable", TimeSpan.FromSeconds(5)), (failure.Status, failure.Code, failure.RetryAfter));
        Assert.Empty(call.Attempts);
    }

    [Fact]
    public async Task A_callers_mistakes_never_open_a_breaker()
    {
        Providers.Host("one", () => FakeProviders.Status(HttpStatusCode.BadRequest, """{"error":{"message":"m","type":"t","param":null,"code":null}}"""));
        var step = Providers.Step();
        for (var i = 0; i < 20; i++)
            await Assert.ThrowsAsync<WireException>(() => step.RunAsync(Call(One)));

        Assert.Equal((20, CircuitState.Closed), (Providers.Log.Count(l => l == "call one"), Breaker.State));
    }

    [Fact]
    public async Task A_callers_leaving_never_opens_a_breaker_nor_closes_one()
    {
        var step = Providers.Step();
        Providers.Host("one", () => FakeProviders.Stream(new StallingStream("")));
        for (var i = 0; i < 20; i++)
            await LeaveAsync(step);
        Assert.Equal(CircuitState.Closed, Breaker.State);

        Providers.Host("one", () => FakeProviders.Status(HttpStatusCode.InternalServerError));
        for (var i = 0; i < 4; i++)
            await Assert.ThrowsAsync<WireException>(() => step.RunAsync(Call(One)));
        Time.Advance(TimeSpan.FromSeconds(5.1));
        Providers.Host("one", () => FakeProviders.Stream(new StallingStream("")));
        await LeaveAsync(step);

        // A probe whose caller left proves nothing, and must not keep the next one out for ever.
        Assert.Equal(CircuitState.Open, Breaker.State);
        Time.Advance(TimeSpan.FromSeconds(10.1));
        Providers.Host("one", () => FakeProviders.Whole("Hi"));
        await step.RunAsync(Call(One));
        Assert.Equal(CircuitState.Closed, Breaker.State);
    }

    [Fact]
    public async Task A_stream_cut_after_its_first_content_counts_against_the_target_too()
    {
        Providers.Host("one", () => FakeProviders.Stream(Hello));
        var step = Providers.Step(new RoutingOptions());
        for (var i = 0; i < 4; i++)
        {
            var call = Call(Streaming, One);
            Assert.Equal("provider_cut", (await Assert.ThrowsAsync<WireException>(() => step.RunAsync(call))).Code);
            Assert.Single(call.Attempts);
        }

        Assert.Equal(CircuitState.Open, Breaker.State);
    }

    private TargetBreaker Breaker => Providers.Healths.Of(One.Target).Breaker;

    private async Task LeaveAsync(RouteStep step)
    {
        using var leaving = new CancellationTokenSource();
        var running = SampleCalls.CollectAsync(step.EventsAsync(Call(Streaming, One), leaving.Token));
        await leaving.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => running);
    }
}
