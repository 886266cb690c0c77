using System.Net;
using AiAspire.Core.Models;
using AiAspire.Core.Routing;
using AiAspire.Core.Wire;

namespace AiAspire.Unit.CoreTests.Routing;

/// <summary>Embeddings and moderations at the end of the pipeline.</summary>
public sealed class RouteStepKindsTests : RouteCases
{
    private const string TwoVectors =
        """{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.1,-2e-3]},{"object":"embedding","index":1,"embedding":"AACAPw=="}],"model":"v","usage":{"prompt_tokens":7,"total_tokens":7}}""";

    private const string Verdict = """{"id":"modr-1","model":"v","results":[{"flagged":false,"categories":{},"category_scores":{}}]}""";

    private readonly RouteStep _step;

    public RouteStepKindsTests() => _step = Providers.Step();

    [Fact]
    public async Task Embeddings_arrive_as_they_came_with_the_providers_usage()
    {
        var path = "";
        Providers.Host("one", (request, _) =>
        {
            path = request.RequestUri!.AbsolutePath;
            return Task.FromResult(FakeProviders.Status(HttpStatusCode.OK, TwoVectors));
        });
        var call = Embed(One);

        var reply = Assert.Single(await _step.RunAsync(call));

        Assert.Equal(TwoVectors, System.Text.Encoding.UTF8.GetString(reply.Json.Span));
        Assert.Equal("/v1/embeddings", path);
        Assert.Equal("""{"model":"one-model","input":["one text","another"]}""", Assert.Single(Providers.Bodies));
        Assert.Equal((AttemptOutcome.Succeeded, new TokenUsage(7, 0, 0, 0, 0), UsageSource.Provider), (call.Attempts[0].Outcome, call.Attempts[0].Usage, call.Attempts[0].UsageSource));
    }

    [Theory]
    [InlineData("""{"object":"list","data":[{"embedding":[1]}],"model":"v","usage":{"prompt_tokens":7}}""")] // One vector for two texts.
    [InlineData("""{"object":"list","data":[],"model":"v"}""")]
    [InlineData("""{"id":"c","model":"v","choices":[]}""")]
    [InlineData("not json")]
    public async Task What_is_not_a_vector_for_each_text_is_another_targets_turn(string broken)
    {
        Providers.Host("one", () => FakeProviders.Status(HttpStatusCode.OK, broken)).Host("two", () => FakeProviders.Status(HttpStatusCode.OK, TwoVectors));
        var call = Embed(One, Two);

        await _step.RunAsync(call);

        Assert.Equal(["malformed", null], call.Attempts.Select(a => a.ErrorCode));
        Assert.Equal("two", call.Served!.Target.Target.Provider);
    }

    [Fact]
    public async Task Without_a_report_what_was_asked_is_counted_and_no_output()
    {
        Providers.Host("one", () => FakeProviders.Status(HttpStatusCode.OK, """{"data":[{"embedding":[1]},{"embedding":[2]}]}"""));
        var call = Embed(One);

        await _step.RunAsync(call);

        Assert.Equal((new TokenUsage(3, 0, 0, 0, 0), UsageSource.Delivered), (call.Attempts[0].Usage, call.Attempts[0].UsageSource));
    }

    [Theory]
    [InlineData("""{"results":[{"flagged":true}]}""", null)]
    [InlineData("""{"results":[{"flagged":true},{"flagged":false}]}""", null)]
    [InlineData("""{"results":[]}""", "provider_malformed")]
    public async Task For_parts_any_number_of_verdicts_will_do_but_none(string reply, string? error)
    {
        Providers.Host("one", () => FakeProviders.Status(HttpStatusCode.OK, reply));
        using var request = SampleCalls.Moderation("""{"model":"m","input":[{"type":"text","text":"x"},{"type":"text","text":"y"}]}""");
        var call = SampleCalls.CallOf(request, null, Time, "moderations", SampleCalls.Target("one", 0, 0));

        var failure = await Record.ExceptionAsync(() => _step.RunAsync(call));

        Assert.Equal(error, (failure as WireException)?.Code);
    }

    [Theory]
    [InlineData(0, 0, UsageSource.Provider)] // Free: on no bill.
    [InlineData(1, 2, UsageSource.Delivered)] // A moderation model that costs is charged by our count, never served at $0.
    public async Task A_moderation_has_no_usage_of_its_own(double price, long tokens, UsageSource source)
    {
        Providers.Host("one", () => FakeProviders.Status(HttpStatusCode.OK, Verdict));
        var call = SampleCalls.CallOf(SampleCalls.Moderation("""{"model":"m","input":"hello world"}"""), null, Time, "moderations", SampleCalls.Target("one", (decimal)price, 0));

        await _step.RunAsync(call);

        Assert.Equal((tokens, source), (call.Attempts[0].Usage.Total, call.Attempts[0].UsageSource));
        Assert.Equal(tokens > 0, call.Attempts[0].Cost > 0);
    }

    private ChatCall Embed(params PricedTarget[] route)
        => SampleCalls.CallOf(SampleCalls.Embedding("""{"model":"m","input":["one text","another"]}"""), null, Time, "embeddings", route);
}
