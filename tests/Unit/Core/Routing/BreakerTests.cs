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
    private readonly PricedTarget _limited = SampleCalls.Target("one", requestsPerMinute: 600, tokensPerMinute: 100_000);

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

    [Fact]
    [Trait("Checklist", "PROV-03")]
    public async Task While_a_limited_target_is_probed_a_fallback_serves_and_nothing_of_the_rate_limit_is_spent()
    {
        var (step, redis) = await OpenAsync();
        var (reached, answered) = HoldOne();
        var probing = step.RunAsync(Call(_limited));
        await reached.Task;
        redis.Asked.Clear();
        var call = Call(_limited, Two);

        await step.RunAsync(call).WaitAsync(TimeSpan.FromSeconds(30), TimeProvider.System, Cancellation);

        Assert.Equal("two", Assert.Single(call.Attempts).Target.Target.Provider);
        Assert.Empty(redis.Asked);
        // With nobody to fall back to, the answer comes at once as from an open breaker.
        Assert.Equal(503, (await Assert.ThrowsAsync<WireException>(() => step.RunAsync(Call(_limited)).WaitAsync(TimeSpan.FromSeconds(30), TimeProvider.System, Cancellation))).Status);
        Assert.Empty(redis.Asked);
        answered.SetResult();
        await probing;
        Assert.Equal((CircuitState.Closed, TimeSpan.Zero), (Breaker.State, Breaker.Blocked()));
    }

    [Fact]
    [Trait("Checklist", "PROV-05")]
    public async Task Who_comes_second_to_the_probe_gives_back_what_it_took_and_goes_to_the_fallback()
    {
        var (step, redis) = await OpenAsync();
        var (reached, answered) = HoldOne();
        redis.Asked.Clear();
        redis.Held = [];
        var (first, second) = (Call(_limited, Two), Call(_limited, Two));
        Task[] running = [step.RunAsync(first), step.RunAsync(second)];
        redis.Held[0].SetResult();
        await reached.Task;
        redis.Held[1].SetResult();

        await running[1].WaitAsync(TimeSpan.FromSeconds(30), TimeProvider.System, Cancellation);

        Assert.Equal("two", Assert.Single(second.Attempts).Target.Target.Provider);
        // 20 tokens in and 256 out, and the request itself.
        Assert.Equal(["take 1", "take 1", "back 276 1"], redis.Asked);
        answered.SetResult();
        await running[0];
        Assert.Equal("one", Assert.Single(first.Attempts).Target.Target.Provider);
    }

    /// <summary>A step whose limited target failed until its breaker opened, at the moment when it may be probed.</summary>
    private async Task<(RouteStep Step, RedisScript Redis)> OpenAsync()
    {
        var redis = new RedisScript();
        var step = Providers.Step(new RoutingOptions { MaxRetries = 0 }, ScriptedRedis.Playing(redis), _limited, Two);
        Providers.Host("one", () => FakeProviders.Status(HttpStatusCode.InternalServerError)).Host("two", () => FakeProviders.Whole("Hi"));
        for (var i = 0; i < 4; i++)
            await step.RunAsync(Call(_limited, Two));
        Assert.Equal(CircuitState.Open, Breaker.State);
        Time.Advance(TimeSpan.FromSeconds(5.1));
        return (step, redis);
    }

    /// <summary>The target serves again, but only when told.</summary>
    private (TaskCompletionSource Reached, TaskCompletionSource Answered) HoldOne()
    {
        var (reached, answered) = (new TaskCompletionSource(), new TaskCompletionSource());
        Providers.Host("one", async (_, _) =>
        {
            reached.TrySetResult();
            await answered.Task;
            return FakeProviders.Whole("Hi");
        });
        return (reached, answered);
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
