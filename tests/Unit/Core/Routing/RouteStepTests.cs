using System.Net;
using System.Text;
using AiAspire.Core.Models;
using AiAspire.Core.Routing;
using AiAspire.Core.Wire;
using Microsoft.Extensions.Time.Testing;

namespace AiAspire.Unit.CoreTests.Routing;

public sealed class RouteStepTests : IDisposable
{
    private const string Streaming = """{"model":"one-model","stream":true,"messages":[{"role":"user","content":"Say hello to the world, please."}]}""";
    private const string Opening = """{"id":"c","model":"v","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}""";
    private const string Hello = """{"id":"c","model":"v","choices":[{"index":0,"delta":{"content":"Hello there"},"finish_reason":null}]}""";
    private const string Stop = """{"id":"c","model":"v","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}""";
    private const string Usage = """{"id":"c","model":"v","choices":[],"usage":{"prompt_tokens":11,"completion_tokens":3}}""";

    private readonly FakeTimeProvider _time = SampleCalls.Time();
    private readonly FakeProviders _providers;
    private readonly RouteStep _step;

    public RouteStepTests()
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

        await RunAsync(call);

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

        await RunAsync(call);

        Assert.Equal((newer.PriceId, ((11 * 7) + (3 * 70)) / 1_000_000m), (call.Attempts[0].Target.Price.PriceId, call.Attempts[0].Cost));
    }

    [Fact]
    public async Task What_cannot_be_written_down_is_not_called()
    {
        _providers.OpeningFails = new Npgsql.NpgsqlException("gone");
        var call = Call(route: SampleCalls.Target("one"));

        await Assert.ThrowsAsync<Npgsql.NpgsqlException>(() => RunAsync(call));

        Assert.Equal(["open one"], _providers.Log);
        Assert.Empty(call.Attempts);
    }

    [Theory]
    [InlineData(429)]
    [InlineData(500)]
    [InlineData(503)]
    [InlineData(529)]
    [InlineData(408)]
    [InlineData(401)]
    [InlineData(404)]
    [Trait("Checklist", "PROV-03")]
    public async Task A_failure_before_the_first_content_moves_to_the_next_target(int status)
    {
        _providers.Host("one", () => FakeProviders.Status((HttpStatusCode)status)).Host("two", () => FakeProviders.Whole("Hi"));
        var call = Call(route: [SampleCalls.Target("one"), SampleCalls.Target("two")]);

        var events = await RunAsync(call);

        Assert.Contains("Hi", Encoding.UTF8.GetString(Assert.Single(events).Json.Span), StringComparison.Ordinal);
        Assert.Equal(["open one", "call one", "open two", "call two"], _providers.Log);
        Assert.Equal([AttemptOutcome.Failed, AttemptOutcome.Succeeded], call.Attempts.Select(a => a.Outcome));
        Assert.Equal([1, 2], call.Attempts.Select(a => a.Number));
        // An error status costs nothing.
        Assert.Equal((default, UsageSource.Provider), (call.Attempts[0].Usage, call.Attempts[0].UsageSource));
        Assert.Equal((new TokenUsage(11, 0, 0, 3, 0), UsageSource.Provider), (call.Attempts[1].Usage, call.Attempts[1].UsageSource));
        Assert.NotEqual(call.Attempts[0].AttemptId, call.Attempts[1].AttemptId);
    }

    [Theory]
    [InlineData("no event", "")]
    [InlineData("opening only", "data: " + Opening + "\n\n")]
    [InlineData("malformed first event", "data: {\"choices\":[{\"index\":\"zero\"}]}\n\n")]
    [InlineData("error first", "data: {\"error\":{\"message\":\"overloaded\"}}\n\n")]
    [InlineData("error after the opening", "data: " + Opening + "\n\ndata: {\"error\":{\"message\":\"overloaded\"}}\n\n")]
    [Trait("Checklist", "PROV-03")]
    public async Task A_stream_that_breaks_before_its_first_content_is_replaced_whole(string what, string stream)
    {
        _providers
            .Host("one", () => FakeProviders.Stream(new MemoryStream(Encoding.UTF8.GetBytes(stream))))
            .Host("two", () => FakeProviders.Stream(Opening, Hello, Stop, Usage, "[DONE]"));
        var call = Call(Streaming, [SampleCalls.Target("one"), SampleCalls.Target("two")]);

        var events = await RunAsync(call);

        Assert.Equal([Opening, Hello, Stop, Usage], events.Select(e => Encoding.UTF8.GetString(e.Json.Span)));
        Assert.Equal([ChatEventKind.Chunk, ChatEventKind.Chunk, ChatEventKind.Chunk, ChatEventKind.UsageChunk], events.Select(e => e.Kind));
        Assert.Equal("Hello there", Encoding.UTF8.GetString(call.Reply.Text));
        Assert.True(call.Attempts.Count == 2, what);
    }

    [Theory]
    [InlineData("cut", "provider_cut")]
    [InlineData("malformed", "provider_malformed")]
    [InlineData("error", "provider_stream_error")]
    public async Task After_the_first_content_a_failure_ends_the_reply_and_nobody_else_is_called(string fault, string code)
    {
        string[] events = fault switch
        {
            "cut" => [Opening, Hello],
            "malformed" => [Opening, Hello, "{\"choices\":[{"],
            _ => [Opening, Hello, """{"error":{"message":"m","type":"t","param":null,"code":null}}"""],
        };
        _providers.Host("one", () => FakeProviders.Stream(events)).Host("two", () => FakeProviders.Stream(Opening, Hello, Usage, "[DONE]"));
        var call = Call(Streaming, [SampleCalls.Target("one"), SampleCalls.Target("two")]);
        var seen = new List<string>();

        var failure = await Assert.ThrowsAsync<WireException>(async () =>
        {
            await foreach (var item in _step.InvokeAsync(call, None, Cancellation))
                seen.Add(Encoding.UTF8.GetString(item.Json.Span));
        });

        Assert.Equal([Opening, Hello], seen);
        Assert.Equal((502, code), (failure.Status, failure.Code));
        Assert.Equal(fault == "error", !failure.UpstreamBody.IsEmpty);
        Assert.Equal(["open one", "call one"], _providers.Log);
        var attempt = Assert.Single(call.Attempts);
        Assert.Equal((AttemptOutcome.Failed, UsageSource.Delivered), (attempt.Outcome, attempt.UsageSource));
        Assert.True(attempt.Usage is { Input: > 5, Output: 2 }, attempt.Usage.ToString());
    }

    [Theory]
    [InlineData(400)]
    [InlineData(413)]
    [InlineData(422)]
    public async Task The_callers_fault_is_told_and_never_tried_elsewhere(int status)
    {
        const string body = """{"error":{"message":"too long","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}""";
        _providers.Host("one", () => FakeProviders.Status((HttpStatusCode)status, body)).Host("two", () => FakeProviders.Whole("Hi"));
        var call = Call(route: [SampleCalls.Target("one"), SampleCalls.Target("two")]);

        var refusal = await Assert.ThrowsAsync<WireException>(() => RunAsync(call));

        Assert.Equal((status, "provider_refused", false), (refusal.Status, refusal.Code, refusal.ShouldRetry));
        Assert.Equal(body, Encoding.UTF8.GetString(refusal.UpstreamBody.Span));
        Assert.Equal(["open one", "call one"], _providers.Log);
        Assert.Equal((AttemptOutcome.Refused, 0m), (call.Attempts[0].Outcome, call.Attempts[0].Cost));
    }

    [Theory]
    [InlineData(429, 429, "provider_rate_limited", 7)]
    [InlineData(503, 503, "provider_unavailable", 7)]
    [InlineData(529, 503, "provider_unavailable", 7)]
    [InlineData(500, 502, "provider_server_error", null)]
    [InlineData(502, 502, "provider_server_error", null)]
    [InlineData(401, 502, "provider_auth_failed", null)]
    [InlineData(403, 502, "provider_auth_failed", null)]
    [InlineData(404, 502, "provider_model_unavailable", null)]
    public async Task When_the_last_target_fails_its_status_decides(int status, int expected, string code, int? retryAfterSeconds)
    {
        _providers
            .Host("one", () => FakeProviders.Status(HttpStatusCode.InternalServerError))
            .Host("two", () => FakeProviders.Status((HttpStatusCode)status, "{\"error\":{\"message\":\"secret of ours\"}}", TimeSpan.FromSeconds(7)));

        var failure = await Assert.ThrowsAsync<WireException>(() => RunAsync(Call(route: [SampleCalls.Target("one"), SampleCalls.Target("two")])));

        Assert.Equal((expected, code), (failure.Status, failure.Code));
        Assert.Equal(retryAfterSeconds is { } s ? TimeSpan.FromSeconds(s) : null, failure.RetryAfter);
        // The provider's words about our account are not the caller's business.
        Assert.True(failure.UpstreamBody.IsEmpty);
    }

    [Theory]
    [InlineData(429)]
    [InlineData(503)]
    public async Task Without_the_providers_word_the_caller_still_gets_a_time_to_come_back(int status)
    {
        _providers.Host("one", () => FakeProviders.Status((HttpStatusCode)status));

        var failure = await Assert.ThrowsAsync<WireException>(() => RunAsync(Call(route: SampleCalls.Target("one"))));

        Assert.Equal(TimeSpan.FromSeconds(1), failure.RetryAfter);
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

        var failure = await Assert.ThrowsAsync<WireException>(() => RunAsync(call));

        Assert.Equal((504, "provider_timeout"), (failure.Status, failure.Code));
        Assert.Equal((AttemptOutcome.Failed, UsageSource.Estimate, 0L), (call.Attempts[0].Outcome, call.Attempts[0].UsageSource, call.Attempts[0].Usage.Output));
        Assert.True(call.Attempts[0].Usage.Input > 5);
        Assert.Equal(TimeSpan.FromSeconds(5), call.Attempts[0].Latency);
    }

    [Fact]
    public async Task A_refused_connection_is_a_502()
    {
        _providers.Host("one", (_, _) => throw new HttpRequestException(HttpRequestError.ConnectionError));

        var failure = await Assert.ThrowsAsync<WireException>(() => RunAsync(Call(route: SampleCalls.Target("one"))));

        Assert.Equal((502, "provider_connection_failed"), (failure.Status, failure.Code));
    }

    [Fact]
    public async Task Who_stops_reading_pays_for_what_was_delivered()
    {
        _providers.Host("one", () => FakeProviders.Stream(Opening, Hello, Stop, Usage, "[DONE]")).Host("two", () => FakeProviders.Whole("Hi"));
        var call = Call(Streaming, [SampleCalls.Target("one"), SampleCalls.Target("two")]);

        await foreach (var item in _step.InvokeAsync(call, None, Cancellation))
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
            await foreach (var item in _step.InvokeAsync(call, None, leaving.Token))
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

        await Assert.ThrowsAsync<InvalidCastException>(() => RunAsync(call));

        Assert.Equal((AttemptOutcome.Failed, "internal_error"), (call.Attempts[0].Outcome, call.Attempts[0].ErrorCode));
    }

    [Fact]
    public async Task A_request_that_another_wire_cannot_be_told_is_the_callers_fault()
    {
        var call = Call(
            """{"model":"m","messages":[{"role":"user","content":"a"}],"tools":[{"type":"function"}]}""", [SampleCalls.Target("one", wire: ProviderWire.Anthropic)]);

        var refusal = await Assert.ThrowsAsync<WireException>(() => RunAsync(call));

        Assert.Equal((400, "provider_refused"), (refusal.Status, refusal.Code));
        Assert.Equal((AttemptOutcome.Refused, 0m), (call.Attempts[0].Outcome, call.Attempts[0].Cost));
    }

    [Fact]
    public async Task Content_parts_that_nobody_knows_do_not_break_the_count()
    {
        _providers.Host("one", () => FakeProviders.Stream(Opening, Hello));
        var call = Call("""{"model":"m","stream":true,"messages":[{"role":"user","content":["bare",{"type":"text","text":null}]}]}""", [SampleCalls.Target("one")]);

        Assert.Equal("provider_cut", (await Assert.ThrowsAsync<WireException>(() => RunAsync(call))).Code);
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

        await RunAsync(call);

        Assert.Equal(TimeSpan.FromMilliseconds(250), call.Attempts[0].FirstToken);
        Assert.Equal(SampleCalls.Now + TimeSpan.FromMinutes(15), call.Attempts[0].LeaseUntil);
    }

    private ChatCall Call(string? json = null, params PricedTarget[] route) => SampleCalls.Call(json, null, _time, route);

    private Task<List<ChatEvent>> RunAsync(ChatCall call) => SampleCalls.CollectAsync(_step.InvokeAsync(call, None, Cancellation));

    private static IAsyncEnumerable<ChatEvent> None(ChatCall call, CancellationToken token) => throw new InvalidOperationException("Routing is the last step.");
}
