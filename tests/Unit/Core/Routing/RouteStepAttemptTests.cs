using AiAspire.Core.Models;
using AiAspire.Core.Routing;
using AiAspire.Core.Wire;
using Microsoft.Extensions.Time.Testing;
using static AiAspire.Unit.CoreTests.Routing.SampleStreams;

namespace AiAspire.Unit.CoreTests.Routing;

/// <summary>What an attempt is written down as, and what it costs.</summary>
public sealed class RouteStepAttemptTests : IDisposable
{
    private readonly FakeTimeProvider _time = SampleCalls.Time();
    private readonly FakeProviders _providers;
    private readonly RouteStep _step;

    public RouteStepAttemptTests()
    {
        _providers = new FakeProviders(_time);
        _step = _providers.Step();
    }

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public void Dispose() => _providers.Dispose();

    [Fact]
    public async Task An_attempt_is_open_before_its_provider_is_called()
    {
        _providers.Host("one", () => FakeProviders.Whole("Hi"));
        var call = Call(route: SampleCalls.Target("one"));

        await _step.RunAsync(call);

        Assert.Equal(["open one", "call one"], _providers.Log);
        Assert.Contains("\"max_completion_tokens\":256", _providers.Bodies[0], StringComparison.Ordinal);
    }

    [Fact]
    [Trait("Checklist", "PROV-09")]
    public async Task An_attempt_is_charged_by_the_price_in_force_as_it_starts()
    {
        _providers.Host("one", () => FakeProviders.Whole("Hi"));
        var newer = SampleCalls.Price("one", 7, 70);
        _providers.Prices.Hold([newer]);
        var call = Call(route: SampleCalls.Target("one", 1, 1));

        await _step.RunAsync(call);

        Assert.Equal((newer.PriceId, ((11 * 7) + (3 * 70)) / 1_000_000m), (call.Attempts[0].Target.Price.PriceId, call.Attempts[0].Cost));
    }

    [Fact]
    public async Task What_cannot_be_written_down_is_not_called()
    {
        _providers.OpeningFails = new Npgsql.NpgsqlException("gone");
        var call = Call(route: SampleCalls.Target("one"));

        await Assert.ThrowsAsync<Npgsql.NpgsqlException>(() => _step.RunAsync(call));

        Assert.Equal(["open one"], _providers.Log);
        Assert.Empty(call.Attempts);
    }

    [Fact]
    public async Task Silence_is_a_504_and_its_input_is_counted_as_an_estimate()
    {
        _providers.Host("one", async (_, token) =>
        {
            _time.Advance(TimeSpan.FromSeconds(5));
            await Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, token);
            throw new InvalidOperationException();
        });
        var call = Call(route: SampleCalls.Target("one", firstTokenSeconds: 5));

        var failure = await Assert.ThrowsAsync<WireException>(() => _step.RunAsync(call));

        Assert.Equal((504, "provider_timeout"), (failure.Status, failure.Code));
        Assert.Equal((AttemptOutcome.Failed, UsageSource.Estimate, 0L), (call.Attempts[0].Outcome, call.Attempts[0].UsageSource, call.Attempts[0].Usage.Output));
        Assert.True(call.Attempts[0].Usage.Input > 5);
        Assert.Equal(TimeSpan.FromSeconds(5), call.Attempts[0].Latency);
    }

    [Fact]
    public async Task Who_stops_reading_pays_for_what_was_delivered()
    {
        _providers.Host("one", () => FakeProviders.Stream(Opening, Hello, Stop, Usage, "[DONE]")).Host("two", () => FakeProviders.Whole("Hi"));
        var call = Call(Streaming, [SampleCalls.Target("one"), SampleCalls.Target("two")]);

        await foreach (var item in _step.EventsAsync(call, Cancellation))
        {
            if (call.Reply.HasContent)
                break;
        }

        var attempt = Assert.Single(call.Attempts);
        Assert.Equal((AttemptOutcome.Aborted, UsageSource.Delivered), (attempt.Outcome, attempt.UsageSource));
        Assert.True(attempt.Usage is { Input: > 5, Output: 2 }, attempt.Usage.ToString());
        Assert.True(attempt.Cost > 0);
        Assert.Equal(["open one", "call one"], _providers.Log);
    }

    [Fact]
    public async Task Who_leaves_while_the_provider_is_silent_is_aborted_and_nobody_else_is_called()
    {
        _providers.Host("one", () => FakeProviders.Stream(new StallingStream(FakeProviders.Sse(Opening, Hello))));
        var call = Call(Streaming, [SampleCalls.Target("one"), SampleCalls.Target("two")]);
        using var leaving = new CancellationTokenSource();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () =>
        {
            await foreach (var item in _step.EventsAsync(call, leaving.Token))
            {
                if (call.Reply.HasContent)
                    await leaving.CancelAsync();
            }
        });

        var attempt = Assert.Single(call.Attempts);
        Assert.Equal((AttemptOutcome.Aborted, UsageSource.Delivered, 2L), (attempt.Outcome, attempt.UsageSource, attempt.Usage.Output));
    }

    [Fact]
    public async Task A_fault_of_our_own_is_not_charged_as_a_callers_leaving()
    {
        _providers.Host("one", (_, _) => throw new InvalidCastException("a bug"));
        var call = Call(route: [SampleCalls.Target("one"), SampleCalls.Target("two")]);

        await Assert.ThrowsAsync<InvalidCastException>(() => _step.RunAsync(call));

        Assert.Equal((AttemptOutcome.Failed, "internal_error"), (call.Attempts[0].Outcome, call.Attempts[0].ErrorCode));
    }

    [Fact]
    public async Task Content_parts_that_nobody_knows_do_not_break_the_count()
    {
        _providers.Host("one", () => FakeProviders.Stream(Opening, Hello));
        var call = Call("""{"model":"m","stream":true,"messages":[{"role":"user","content":["bare",{"type":"text","text":null}]}]}""", [SampleCalls.Target("one")]);

        Assert.Equal("provider_cut", (await Assert.ThrowsAsync<WireException>(() => _step.RunAsync(call))).Code);
        Assert.Equal(UsageSource.Delivered, call.Attempts[0].UsageSource);
    }

    [Fact]
    public async Task The_first_tokens_time_is_of_the_first_content()
    {
        _providers.Host("one", () =>
        {
            _time.Advance(TimeSpan.FromMilliseconds(250));
            return FakeProviders.Stream(Opening, Hello, Usage, "[DONE]");
        });
        var call = Call(Streaming, [SampleCalls.Target("one")]);

        await _step.RunAsync(call);

        Assert.Equal(TimeSpan.FromMilliseconds(250), call.Attempts[0].FirstToken);
        Assert.Equal(SampleCalls.Now + TimeSpan.FromMinutes(15), call.Attempts[0].LeaseUntil);
    }

    private ChatCall Call(string? json = null, params PricedTarget[] route) => SampleCalls.Call(json, null, _time, route);
}
