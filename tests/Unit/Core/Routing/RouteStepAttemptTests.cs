using AiAspire.Core.Models;
using AiAspire.Core.Routing;
using AiAspire.Core.Wire;
using static AiAspire.Unit.CoreTests.Routing.SampleStreams;

namespace AiAspire.Unit.CoreTests.Routing;

/// <summary>What an attempt is written down as, and what it costs.</summary>
public sealed class RouteStepAttemptTests : RouteCases
{
    private readonly RouteStep _step;

    public RouteStepAttemptTests() => _step = Providers.Step();

    [Fact]
    public async Task An_attempt_is_open_before_its_provider_is_called()
    {
        Providers.Host("one", () => FakeProviders.Whole("Hi"));
        var call = Call(One);

        await _step.RunAsync(call);

        Assert.Equal(["open one", "call one"], Providers.Log);
        Assert.Contains("\"max_completion_tokens\":256", Providers.Bodies[0], StringComparison.Ordinal);
    }

    [Fact]
    [Trait("Checklist", "PROV-09")]
    public async Task An_attempt_is_charged_by_the_price_in_force_as_it_starts()
    {
        Providers.Host("one", () => FakeProviders.Whole("Hi"));
        var newer = SampleCalls.Price("one", 7, 70);
        Providers.Prices.Hold([newer]);
        var call = Call(SampleCalls.Target("one", 1, 1));

        await _step.RunAsync(call);

        Assert.Equal((newer.PriceId, ((11 * 7) + (3 * 70)) / 1_000_000m), (call.Attempts[0].Target.Price.PriceId, call.Attempts[0].Cost));
    }

    [Fact]
    public async Task What_cannot_be_written_down_is_not_called()
    {
        Providers.OpeningFails = new Npgsql.NpgsqlException("gone");
        var call = Call(One);

        await Assert.ThrowsAsync<Npgsql.NpgsqlException>(() => _step.RunAsync(call));

        Assert.Equal(["open one"], Providers.Log);
        Assert.Empty(call.Attempts);
    }

    [Fact]
    public async Task Silence_is_a_504_and_is_counted_as_what_was_reserved()
    {
        Providers.Host("one", async (_, token) =>
        {
            Time.Advance(TimeSpan.FromSeconds(5));
            await Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, token);
            throw new InvalidOperationException();
        });
        var call = Call(SampleCalls.Target("one", firstTokenSeconds: 5));

        var failure = await Assert.ThrowsAsync<WireException>(() => _step.RunAsync(call));

        Assert.Equal((504, "provider_timeout"), (failure.Status, failure.Code));
        // In five seconds it may have written all that it was asked for, and bills it.
        Assert.Equal((AttemptOutcome.Failed, UsageSource.Estimate, 256L), (call.Attempts[0].Outcome, call.Attempts[0].UsageSource, call.Attempts[0].Usage.Output));
        Assert.True(call.Attempts[0].Usage.Input > 5);
        Assert.Equal(TimeSpan.FromSeconds(5), call.Attempts[0].Latency);
    }

    [Theory]
    [Trait("Checklist", "COST-05")]
    [InlineData(1, 150)]
    [InlineData(20, 256)]
    public async Task Who_leaves_before_the_answer_has_what_may_have_been_written_by_then_counted(int seconds, int output)
    {
        using var leaving = new CancellationTokenSource();
        Providers.Host("one", async (_, token) =>
        {
            Time.Advance(TimeSpan.FromSeconds(seconds));
            await leaving.CancelAsync();
            await Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, token);
            throw new InvalidOperationException();
        });
        var call = Call(One);

        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () =>
        {
            await foreach (var _ in _step.EventsAsync(call, leaving.Token))
            {
            }
        });

        Assert.Equal((AttemptOutcome.Aborted, UsageSource.Estimate, output), (call.Attempts[0].Outcome, call.Attempts[0].UsageSource, call.Attempts[0].Usage.Output));
    }

    [Theory]
    [InlineData(true, UsageSource.Estimate, 2 + 150)]
    [InlineData(false, UsageSource.Delivered, 2)]
    public async Task Of_a_model_that_reasons_the_time_before_its_first_word_is_counted_too(bool reasons, UsageSource source, int output)
    {
        Providers.Host("one", () =>
        {
            Time.Advance(TimeSpan.FromSeconds(1));
            return FakeProviders.Stream(Opening, Hello);
        });
        var call = Call(Streaming, [SampleCalls.Target("one", capabilities: reasons ? ["reasoning"] : null)]);

        await Assert.ThrowsAsync<WireException>(() => _step.RunAsync(call));

        Assert.Equal((source, output), (call.Attempts[0].UsageSource, call.Attempts[0].Usage.Output));
    }

    [Fact]
    public async Task A_provider_that_was_not_reached_has_used_nothing()
    {
        Providers.Host("one", (_, _) => throw new HttpRequestException(HttpRequestError.ConnectionError, "nobody listens"));
        var call = Call(One);

        await Assert.ThrowsAsync<WireException>(() => _step.RunAsync(call));

        Assert.Equal((AttemptOutcome.Failed, default(TokenUsage)), (call.Attempts[0].Outcome, call.Attempts[0].Usage));
    }

    [Fact]
    public async Task Who_stops_reading_pays_for_what_was_delivered()
    {
        Providers.Host("one", () => FakeProviders.Stream(Opening, Hello, Stop, Usage, "[DONE]")).Host("two", () => FakeProviders.Whole("Hi"));
        var call = Call(Streaming, [One, Two]);

        await foreach (var item in _step.EventsAsync(call, Cancellation))
        {
            if (call.Reply.HasContent)
                break;
        }

        var attempt = Assert.Single(call.Attempts);
        Assert.Equal((AttemptOutcome.Aborted, UsageSource.Delivered), (attempt.Outcome, attempt.UsageSource));
        Assert.True(attempt.Usage is { Input: > 5, Output: 2 }, attempt.Usage.ToString());
        Assert.True(attempt.Cost > 0);
        Assert.Equal(["open one", "call one"], Providers.Log);
    }

    [Fact]
    public async Task Who_leaves_while_the_provider_is_silent_is_aborted_and_nobody_else_is_called()
    {
        Providers.Host("one", () => FakeProviders.Stream(new StallingStream(FakeProviders.Sse(Opening, Hello))));
        var call = Call(Streaming, [One, Two]);
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
        Providers.Host("one", (_, _) => throw new InvalidCastException("a bug"));
        var call = Call(One, Two);

        await Assert.ThrowsAsync<InvalidCastException>(() => _step.RunAsync(call));

        Assert.Equal((AttemptOutcome.Failed, "internal_error"), (call.Attempts[0].Outcome, call.Attempts[0].ErrorCode));
    }

    [Fact]
    public async Task Content_parts_that_nobody_knows_do_not_break_the_count()
    {
        Providers.Host("one", () => FakeProviders.Stream(Opening, Hello));
        var call = Call("""{"model":"m","stream":true,"messages":[{"role":"user","content":["bare",{"type":"text","text":null}]}]}""", [One]);

        Assert.Equal("provider_cut", (await Assert.ThrowsAsync<WireException>(() => _step.RunAsync(call))).Code);
        Assert.Equal(UsageSource.Delivered, call.Attempts[0].UsageSource);
    }

    [Fact]
    public async Task The_first_tokens_time_is_of_the_first_content()
    {
        Providers.Host("one", () =>
        {
            Time.Advance(TimeSpan.FromMilliseconds(250));
            return FakeProviders.Stream(Opening, Hello, Usage, "[DONE]");
        });
        var call = Call(Streaming, [One]);

        await _step.RunAsync(call);

        Assert.Equal(TimeSpan.FromMilliseconds(250), call.Attempts[0].FirstToken);
        Assert.Equal(SampleCalls.Now + TimeSpan.FromMinutes(15), call.Attempts[0].LeaseUntil);
    }
}
