using System.Net;
using System.Text;
using AiAspire.Core.Models;
using AiAspire.Core.Routing;
using AiAspire.Core.Wire;
using Polly.CircuitBreaker;
using static AiAspire.Unit.CoreTests.Routing.SampleStreams;

namespace AiAspire.Unit.CoreTests.Routing;

/// <summary>Which target is asked next, and what the caller is told when there is none.</summary>
public sealed class RouteStepTests : RouteCases
{
    private readonly RouteStep _step;

    public RouteStepTests() => _step = Providers.Step();

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
        Providers.Host("one", () => FakeProviders.Status((HttpStatusCode)status)).Host("two", () => FakeProviders.Whole("Hi"));
        var call = Call(One, Two);

        var events = await _step.RunAsync(call);

        Assert.Contains("Hi", Encoding.UTF8.GetString(Assert.Single(events).Json.Span), StringComparison.Ordinal);
        Assert.Equal(["open one", "call one", "open two", "call two"], Providers.Log);
        Assert.Equal([AttemptOutcome.Failed, AttemptOutcome.Succeeded], call.Attempts.Select(a => a.Outcome));
        Assert.Equal([1, 2], call.Attempts.Select(a => a.Number));
        // An error status costs nothing.
        Assert.Equal((default, UsageSource.Provider), (call.Attempts[0].Usage, call.Attempts[0].UsageSource));
        Assert.Equal((new TokenUsage(11, 0, 0, 3, 0), UsageSource.Provider), (call.Attempts[1].Usage, call.Attempts[1].UsageSource));
        Assert.NotEqual(call.Attempts[0].AttemptId, call.Attempts[1].AttemptId);
    }

    [Fact]
    [Trait("Checklist", "PROV-03")]
    public async Task Openings_are_not_held_back_for_ever()
    {
        // Reasoning that is told in a field of the provider's own is no content, and something to see.
        const string Thought = """{"id":"c","choices":[{"index":0,"delta":{"reasoning":"Hm"},"finish_reason":null}]}""";
        Providers
            .Host("one", () => FakeProviders.Stream([.. Enumerable.Repeat(Thought, 20)]))
            .Host("two", () => FakeProviders.Whole("Hi"));
        var (call, seen) = (Call(Streaming, [One, Two]), 0);

        await Assert.ThrowsAsync<WireException>(async () =>
        {
            await foreach (var _ in _step.EventsAsync(call, Cancellation))
                seen++;
        });

        Assert.Equal(20, seen);
        Assert.Single(call.Attempts);
    }

    [Theory]
    [InlineData(429)]
    [InlineData(500)]
    [InlineData(503)]
    [InlineData(404)]
    [Trait("Checklist", "PROV-03")]
    public async Task An_error_status_moves_on_though_its_body_never_comes(int status)
    {
        var call = Call(One, Two);

        await RunPastHangingBodyAsync(call, status);

        Assert.Equal([(AttemptOutcome.Failed, status), (AttemptOutcome.Succeeded, 200)], call.Attempts.Select(a => (a.Outcome, a.Status!.Value)));
    }

    [Fact]
    [Trait("Checklist", "PROV-03")]
    public async Task Error_statuses_without_a_body_open_the_breaker()
    {
        for (var i = 0; i < 4; i++)
            await RunPastHangingBodyAsync(Call(One, Two), 500);

        Assert.Equal(CircuitState.Open, Providers.Healths.Of(One.Target).Breaker.State);
    }

    [Fact]
    public async Task Who_leaves_while_the_body_of_an_error_is_awaited_has_left()
    {
        Providers.Host("one", () => Hanging(500));
        var call = Call(One, Two);
        using var leaving = new CancellationTokenSource();
        var running = SampleCalls.CollectAsync(_step.EventsAsync(call, leaving.Token));

        await leaving.CancelAsync();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => running);
        Assert.Equal(AttemptOutcome.Aborted, Assert.Single(call.Attempts).Outcome);
    }

    /// <summary>The first target's error hangs in its body, for the two seconds that it is waited for.</summary>
    private async Task RunPastHangingBodyAsync(ChatCall call, int status)
    {
        var body = new StallingStream("{");
        Providers
            .Host("one", () => new HttpResponseMessage((HttpStatusCode)status) { Content = new StreamContent(body) })
            .Host("two", () => FakeProviders.Whole("Hi"));
        var running = _step.RunAsync(call);
        await Task.WhenAny(body.Stalled, running);
        Time.Advance(TimeSpan.FromSeconds(2));
        await running.WaitAsync(TimeSpan.FromSeconds(60), TimeProvider.System, Cancellation);
    }

    private static HttpResponseMessage Hanging(int status) => new((HttpStatusCode)status) { Content = new StreamContent(new StallingStream("{")) };

    [Theory]
    [InlineData("no event", "")]
    [InlineData("opening only", "data: " + Opening + "\n\n")]
    [InlineData("openings of several choices", "data: " + Opening + "\n\ndata: " + Opening + "\n\ndata: {\"id\":\"c\",\"choices\":[]}\n\n")]
    [InlineData("malformed first event", "data: {\"choices\":[{\"index\":\"zero\"}]}\n\n")]
    [InlineData("error first", "data: {\"error\":{\"message\":\"overloaded\"}}\n\n")]
    [InlineData("error after the opening", "data: " + Opening + "\n\ndata: {\"error\":{\"message\":\"overloaded\"}}\n\n")]
    [Trait("Checklist", "PROV-03")]
    public async Task A_stream_that_breaks_before_its_first_content_is_replaced_whole(string what, string stream)
    {
        Providers
            .Host("one", () => FakeProviders.Stream(new MemoryStream(Encoding.UTF8.GetBytes(stream))))
            .Host("two", () => FakeProviders.Stream(Opening, Hello, Stop, Usage, "[DONE]"));
        var call = Call(Streaming, [One, Two]);

        var events = await _step.RunAsync(call);

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
        Providers.Host("one", () => FakeProviders.Stream(events)).Host("two", () => FakeProviders.Stream(Opening, Hello, Usage, "[DONE]"));
        var call = Call(Streaming, [One, Two]);
        var seen = new List<string>();

        var failure = await Assert.ThrowsAsync<WireException>(async () =>
        {
            await foreach (var item in _step.EventsAsync(call, Cancellation))
                seen.Add(Encoding.UTF8.GetString(item.Json.Span));
        });

        Assert.Equal([Opening, Hello], seen);
        Assert.Equal((502, code), (failure.Status, failure.Code));
        Assert.Equal(fault == "error", !failure.UpstreamBody.IsEmpty);
        Assert.Equal(["open one", "call one"], Providers.Log);
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
        Providers.Host("one", () => FakeProviders.Status((HttpStatusCode)status, body)).Host("two", () => FakeProviders.Whole("Hi"));
        var call = Call(One, Two);

        var refusal = await Assert.ThrowsAsync<WireException>(() => _step.RunAsync(call));

        Assert.Equal((status, "provider_refused", false), (refusal.Status, refusal.Code, refusal.ShouldRetry));
        Assert.Equal(body, Encoding.UTF8.GetString(refusal.UpstreamBody.Span));
        Assert.Equal(["open one", "call one"], Providers.Log);
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
        Providers
            .Host("one", () => FakeProviders.Status(HttpStatusCode.InternalServerError))
            .Host("two", () => FakeProviders.Status((HttpStatusCode)status, "{\"error\":{\"message\":\"secret of ours\"}}", TimeSpan.FromSeconds(7)));

        var failure = await Assert.ThrowsAsync<WireException>(() => _step.RunAsync(Call(One, Two)));

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
        Providers.Host("one", () => FakeProviders.Status((HttpStatusCode)status));

        var failure = await Assert.ThrowsAsync<WireException>(() => _step.RunAsync(Call(One)));

        Assert.Equal(TimeSpan.FromSeconds(1), failure.RetryAfter);
    }

    [Fact]
    public async Task A_refused_connection_is_a_502()
    {
        Providers.Host("one", (_, _) => throw new HttpRequestException(HttpRequestError.ConnectionError));

        var failure = await Assert.ThrowsAsync<WireException>(() => _step.RunAsync(Call(One)));

        Assert.Equal((502, "provider_connection_failed"), (failure.Status, failure.Code));
    }

    [Fact]
    public async Task A_request_that_another_wire_cannot_be_told_is_the_callers_fault()
    {
        var call = Call(
            """{"model":"m","messages":[{"role":"user","content":"a"}],"tools":[{"type":"function"}]}""", [SampleCalls.Target("one", wire: ProviderWire.Anthropic)]);

        var refusal = await Assert.ThrowsAsync<WireException>(() => _step.RunAsync(call));

        Assert.Equal((400, "provider_refused"), (refusal.Status, refusal.Code));
        Assert.Equal((AttemptOutcome.Refused, 0m), (call.Attempts[0].Outcome, call.Attempts[0].Cost));
    }
}
