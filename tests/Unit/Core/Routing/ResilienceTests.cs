using System.Net;
using AiAspire.Core.Models;
using AiAspire.Core.Routing;
using AiAspire.Core.Wire;
using Microsoft.Extensions.Time.Testing;
using Polly.CircuitBreaker;

namespace AiAspire.Unit.CoreTests.Routing;

/// <summary>Retries, cooldowns and breakers of targets, on a clock that the test moves.</summary>
public sealed class ResilienceTests : IDisposable
{
    private const string Streaming = """{"model":"m","stream":true,"messages":[{"role":"user","content":"Say hello."}]}""";
    private const string Hello = """{"id":"c","model":"v","choices":[{"index":0,"delta":{"content":"Hello"},"finish_reason":null}]}""";

    private readonly FakeTimeProvider _time = SampleCalls.Time();
    private readonly FakeProviders _providers;
    private readonly PricedTarget _one = SampleCalls.Target("one");
    private readonly PricedTarget _two = SampleCalls.Target("two");

    public ResilienceTests() => _providers = new FakeProviders(_time);

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public void Dispose() => _providers.Dispose();

    [Fact]
    [Trait("Checklist", "COST-09")]
    public async Task A_429_is_retried_after_what_the_provider_asked_and_no_sooner()
    {
        var asked = TimeSpan.FromSeconds(7);
        Sequence("one", () => FakeProviders.Status(HttpStatusCode.TooManyRequests, retryAfter: asked), () => FakeProviders.Whole("Hi"));
        var call = Call(_one);
        var running = RunAsync(_providers.Step(new RoutingOptions()), call);

        _time.Advance(asked - TimeSpan.FromMilliseconds(1));
        Assert.Single(_providers.Log, "call one");
        await FinishAsync(running, asked);

        Assert.Equal(2, _providers.Log.Count(l => l == "call one"));
        Assert.Equal([AttemptOutcome.Failed, AttemptOutcome.Succeeded], call.Attempts.Select(a => a.Outcome));
        // A retry is an attempt like any other: opened on its own, before the call.
        Assert.Equal(["open one", "call one", "open one", "call one"], _providers.Log);
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
        _providers.Host("one", () => FakeProviders.Status(HttpStatusCode.InternalServerError));
        var call = Call(_one);

        var failure = await Assert.ThrowsAsync<WireException>(() => FinishAsync(RunAsync(_providers.Step(new RoutingOptions { MaxRetries = 2 }), call), TimeSpan.FromSeconds(30)));

        Assert.Equal((502, "provider_server_error"), (failure.Status, failure.Code));
        Assert.Equal(3, call.Attempts.Count);
        Assert.All(call.Attempts, a => Assert.Equal((AttemptOutcome.Failed, 500), (a.Outcome, a.Status)));
    }

    [Fact]
    public async Task Another_target_is_better_than_waiting_and_the_round_begins_again_when_all_have_failed()
    {
        Sequence("one", () => FakeProviders.Status(HttpStatusCode.InternalServerError), () => FakeProviders.Whole("Hi"));
        _providers.Host("two", () => FakeProviders.Status(HttpStatusCode.BadGateway));
        var call = Call(_one, _two);

        await FinishAsync(RunAsync(_providers.Step(new RoutingOptions()), call), TimeSpan.FromSeconds(1));

        Assert.Equal(["one", "two", "one"], call.Attempts.Select(a => a.Target.Target.Provider));
    }

    [Fact]
    public async Task In_an_outage_retries_are_a_bounded_share_of_the_requests()
    {
        _providers.Host("one", () => FakeProviders.Status(HttpStatusCode.InternalServerError));
        var step = _providers.Step(new RoutingOptions { RetryRatio = 0.1, RetryReserve = 3, BreakerMinimumCalls = 10_000 });
        for (var i = 0; i < 100; i++)
            await Assert.ThrowsAsync<WireException>(() => FinishAsync(RunAsync(step, Call(_one)), TimeSpan.FromSeconds(30)));

        // 3 saved up, and a tenth for each of the 100.
        Assert.InRange(_providers.Log.Count(l => l == "call one"), 100 + 10, 100 + 13);
    }

    [Fact]
    public async Task No_wait_goes_beyond_the_deadline()
    {
        _providers.Host("one", () => FakeProviders.Status(HttpStatusCode.TooManyRequests, retryAfter: TimeSpan.FromSeconds(20)));
        var call = Call(_one);

        var failure = await Assert.ThrowsAsync<WireException>(() => FinishAsync(RunAsync(_providers.Step(new RoutingOptions { DeadlineSeconds = 10 }), call), TimeSpan.FromSeconds(1)));

        Assert.Equal((429, "provider_rate_limited"), (failure.Status, failure.Code));
        Assert.InRange(failure.RetryAfter!.Value.TotalSeconds, 18, 20);
        Assert.Single(call.Attempts);
    }

    [Fact]
    [Trait("Checklist", "COST-09")]
    public async Task A_target_that_asked_for_rest_is_passed_over_by_other_requests_until_then()
    {
        Sequence("one", () => FakeProviders.Status(HttpStatusCode.TooManyRequests, retryAfter: TimeSpan.FromSeconds(30)), () => FakeProviders.Whole("Hi"));
        _providers.Host("two", () => FakeProviders.Whole("Hi"));
        var step = _providers.Step(new RoutingOptions());
        await RunAsync(step, Call(_one, _two));
        _providers.Log.Clear();

        await RunAsync(step, Call(_one, _two));
        Assert.Equal(["open two", "call two"], _providers.Log);

        _time.Advance(TimeSpan.FromSeconds(31));
        await RunAsync(step, Call(_one, _two));
        Assert.Equal("call one", _providers.Log[^1]);
    }

    [Fact]
    [Trait("Checklist", "PROV-03")]
    public async Task A_failing_target_is_left_alone_probed_by_one_call_and_taken_back()
    {
        var down = true;
        _providers.Host("one", () => down ? FakeProviders.Status(HttpStatusCode.ServiceUnavailable) : FakeProviders.Whole("Hi")).Host("two", () => FakeProviders.Whole("Hi"));
        var step = _providers.Step(new RoutingOptions { BreakerMinimumCalls = 4, BreakSeconds = 5 });
        for (var i = 0; i < 6; i++)
            await RunAsync(step, Call(_one, _two));

        // Four calls opened the breaker; the last two went to the fallback at once.
        Assert.Equal(4, _providers.Log.Count(l => l == "call one"));
        Assert.Equal(CircuitState.Open, Breaker.State);

        // The probe fails: twice as long.
        _time.Advance(TimeSpan.FromSeconds(5.1));
        await RunAsync(step, Call(_one, _two));
        await RunAsync(step, Call(_one, _two));
        Assert.Equal(5, _providers.Log.Count(l => l == "call one"));
        _time.Advance(TimeSpan.FromSeconds(5.1));
        await RunAsync(step, Call(_one, _two));
        Assert.Equal(5, _providers.Log.Count(l => l == "call one"));

        down = false;
        _time.Advance(TimeSpan.FromSeconds(5.1));
        Assert.Equal(TimeSpan.Zero, Breaker.Blocked());
        await RunAsync(step, Call(_one, _two));
        Assert.Equal(6, _providers.Log.Count(l => l == "call one"));
        Assert.Equal(CircuitState.Closed, Breaker.State);
        _providers.Log.Clear();
        await RunAsync(step, Call(_one, _two));
        Assert.Equal(["open one", "call one"], _providers.Log);
    }

    [Fact]
    public async Task When_every_breaker_is_open_the_answer_comes_at_once_with_a_time()
    {
        _providers.Host("one", () => FakeProviders.Status(HttpStatusCode.InternalServerError));
        var step = _providers.Step(new RoutingOptions { MaxRetries = 0 });
        for (var i = 0; i < 4; i++)
            await Assert.ThrowsAsync<WireException>(() => RunAsync(step, Call(_one)));
        var call = Call(_one);

        var failure = await Assert.ThrowsAsync<WireException>(() => RunAsync(step, call));

        Assert.Equal((503, "provider_unavailable", TimeSpan.FromSeconds(5)), (failure.Status, failure.Code, failure.RetryAfter));
        Assert.Empty(call.Attempts);
    }

    [Fact]
    public async Task A_callers_mistakes_never_open_a_breaker()
    {
        _providers.Host("one", () => FakeProviders.Status(HttpStatusCode.BadRequest, """{"error":{"message":"m","type":"t","param":null,"code":null}}"""));
        var step = _providers.Step();
        for (var i = 0; i < 20; i++)
            await Assert.ThrowsAsync<WireException>(() => RunAsync(step, Call(_one)));

        Assert.Equal((20, CircuitState.Closed), (_providers.Log.Count(l => l == "call one"), Breaker.State));
    }

    [Fact]
    public async Task A_callers_leaving_never_opens_a_breaker_nor_closes_one()
    {
        var step = _providers.Step();
        _providers.Host("one", () => FakeProviders.Stream(new StallingStream("")));
        for (var i = 0; i < 20; i++)
            await LeaveAsync(step);
        Assert.Equal(CircuitState.Closed, Breaker.State);

        _providers.Host("one", () => FakeProviders.Status(HttpStatusCode.InternalServerError));
        for (var i = 0; i < 4; i++)
            await Assert.ThrowsAsync<WireException>(() => RunAsync(step, Call(_one)));
        _time.Advance(TimeSpan.FromSeconds(5.1));
        _providers.Host("one", () => FakeProviders.Stream(new StallingStream("")));
        await LeaveAsync(step);

        // A probe whose caller left proves nothing, and must not keep the next one out for ever.
        Assert.Equal(CircuitState.Open, Breaker.State);
        _time.Advance(TimeSpan.FromSeconds(10.1));
        _providers.Host("one", () => FakeProviders.Whole("Hi"));
        await RunAsync(step, Call(_one));
        Assert.Equal(CircuitState.Closed, Breaker.State);
    }

    [Fact]
    public async Task A_stream_cut_after_its_first_content_counts_against_the_target_too()
    {
        _providers.Host("one", () => FakeProviders.Stream(Hello));
        var step = _providers.Step(new RoutingOptions());
        for (var i = 0; i < 4; i++)
        {
            var call = SampleCalls.Call(Streaming, null, _time, _one);
            Assert.Equal("provider_cut", (await Assert.ThrowsAsync<WireException>(() => RunAsync(step, call))).Code);
            Assert.Single(call.Attempts);
        }

        Assert.Equal(CircuitState.Open, Breaker.State);
    }

    [Fact]
    public async Task A_refused_key_is_put_out_of_use_and_the_next_one_serves_at_once()
    {
        _providers.Host("one", (request, _) => Task.FromResult(
            request.Headers.Authorization!.Parameter == "new" ? FakeProviders.Whole("Hi") : FakeProviders.Status(HttpStatusCode.Unauthorized)));
        var step = _providers.Step();
        _providers.Keys.Hold([new ProviderKey(SampleCalls.Id(), "one", "second", "new", SampleCalls.Now)]);
        var call = Call(_one, _two);

        await RunAsync(step, call);
        await RunAsync(step, Call(_one));

        Assert.Equal(["sim-key", "new", "new"], _providers.SentKeys);
        Assert.Equal([401, 200], call.Attempts.Select(a => a.Status));
        Assert.Equal(CircuitState.Closed, Breaker.State);
        // It is tried again after a while: the provider may have been wrong.
        _time.Advance(TimeSpan.FromSeconds(61));
        await RunAsync(step, Call(_one));
        await RunAsync(step, Call(_one));
        Assert.Contains("sim-key", _providers.SentKeys.Skip(3));
    }

    [Fact]
    public async Task A_retired_key_is_sent_no_more_and_what_runs_on_it_ends_in_peace()
    {
        var old = new ProviderKey(SampleCalls.Id(), "one", "old", "old", SampleCalls.Now);
        var step = _providers.Step();
        _providers.Keys.Hold([old]);
        var release = new TaskCompletionSource();
        _providers.Host("one", async (_, _) =>
        {
            await release.Task;
            return FakeProviders.Whole("Hi");
        });
        Task[] running = [RunAsync(step, Call(_one)), RunAsync(step, Call(_one))];
        // The less busy key is taken: one each.
        Assert.Equal(["old", "sim-key"], _providers.SentKeys.Order());

        _providers.Keys.Hold([]);
        release.SetResult();
        await Task.WhenAll(running);
        // Two at once: the second would go to the other key, if there still were one.
        release = new TaskCompletionSource();
        running = [RunAsync(step, Call(_one)), RunAsync(step, Call(_one))];
        release.SetResult();
        await Task.WhenAll(running);

        Assert.Equal(["sim-key", "sim-key"], _providers.SentKeys.Skip(2));
    }

    private TargetBreaker Breaker => _providers.Healths.Of(_one.Target).Breaker;

    private ChatCall Call(params PricedTarget[] route) => SampleCalls.Call(null, null, _time, route);

    private static Task<List<ChatEvent>> RunAsync(RouteStep step, ChatCall call) => SampleCalls.CollectAsync(step.InvokeAsync(call, None, Cancellation));

    private async Task LeaveAsync(RouteStep step)
    {
        using var leaving = new CancellationTokenSource();
        var running = SampleCalls.CollectAsync(step.InvokeAsync(SampleCalls.Call(Streaming, null, _time, _one), None, leaving.Token));
        await leaving.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => running);
    }

    /// <summary>Moves the clock until the run has ended.</summary>
    private async Task<List<ChatEvent>> FinishAsync(Task<List<ChatEvent>> running, TimeSpan step)
    {
        for (var i = 0; i < 200 && !running.IsCompleted; i++)
        {
            _time.Advance(step);
            for (var yields = 0; yields < 20 && !running.IsCompleted; yields++)
                await Task.Yield();
        }

        Assert.True(running.IsCompleted, "the run does not end");
        return await running;
    }

    private void Sequence(string host, params Func<HttpResponseMessage>[] answers)
    {
        var next = 0;
        _providers.Host(host, () => answers[Math.Min(next++, answers.Length - 1)]());
    }

    private static IAsyncEnumerable<ChatEvent> None(ChatCall call, CancellationToken token) => throw new InvalidOperationException("Routing is the last step.");
}
