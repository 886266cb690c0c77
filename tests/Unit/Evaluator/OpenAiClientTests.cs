using System.Collections.Concurrent;
using System.Text.Json.Nodes;
using AiAspire.Evaluator.Targets;

namespace AiAspire.Unit.Evaluator;

public sealed class OpenAiClientTests
{
    private static readonly JsonObject Request = new() { ["messages"] = new JsonArray(new JsonObject { ["role"] = "user", ["content"] = "Hi" }) };

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    [Trait("Checklist", "EVAL-08")]
    public async Task Sends_what_an_evaluation_needs_and_reads_cost_tokens_and_model()
    {
        await using var stub = await StubOpenAi.StartAsync((_, _) => StubAnswer.Says("Hello", 0.00042m));

        var reply = await Client(stub).ChatAsync("m", Request, Cancellation);

        Assert.Equal("Hello", reply.Content);
        Assert.Equal(0.00042m, reply.CostUsd);
        Assert.Equal((11, 7), (reply.InputTokens, reply.OutputTokens));
        Assert.Equal("stub-2026-01-01", reply.Model);
        Assert.True(reply.LatencyMs >= 0);
        var (headers, body) = Assert.Single(stub.Received);
        Assert.Equal("Bearer sk-test", headers.Authorization);
        Assert.Equal("no-store", headers["x-aiaspire-cache"]);
        Assert.Equal("support", headers["x-aiaspire-feature"]);
        Assert.Equal("m", (string?)body["model"]);
        Assert.False((bool)body["stream"]!);
        Assert.False(Request.ContainsKey("model"));
    }

    [Fact]
    [Trait("Checklist", "EVAL-08")]
    public async Task An_unknown_cost_stays_unknown()
    {
        await using var stub = await StubOpenAi.StartAsync((_, _) => StubAnswer.Says("Hello"));

        Assert.Null((await Client(stub).ChatAsync("m", Request, Cancellation)).CostUsd);
    }

    [Theory]
    [InlineData(429, "rate_limit_exceeded")]
    [InlineData(500, "server_error")]
    [InlineData(503, "overloaded")]
    public async Task Waits_as_told_and_tries_again(int status, string code)
    {
        await using var stub = await StubOpenAi.StartAsync((_, call) => call < 3 ? StubAnswer.Fails(status, code, "7") : StubAnswer.Says("at last"));
        var time = new ImpatientTime();

        var reply = await Client(stub, time).ChatAsync("m", Request, Cancellation);

        Assert.Equal("at last", reply.Content);
        Assert.Equal(2, reply.Retries);
        Assert.Equal([TimeSpan.FromSeconds(7), TimeSpan.FromSeconds(7)], time.Waits);
    }

    [Fact]
    public async Task A_limit_that_lasts_is_an_error_at_once()
    {
        await using var stub = await StubOpenAi.StartAsync((_, _) => StubAnswer.Fails(429, "quota", "3600"));

        var problem = await Assert.ThrowsAsync<ModelCallException>(() => Client(stub).ChatAsync("m", Request, Cancellation));

        Assert.Contains("429 quota", problem.Message, StringComparison.Ordinal);
        Assert.Single(stub.Received);
    }

    [Fact]
    public async Task Gives_up_after_four_attempts()
    {
        await using var stub = await StubOpenAi.StartAsync((_, _) => StubAnswer.Fails(500, "server_error", "0"));

        await Assert.ThrowsAsync<ModelCallException>(() => Client(stub).ChatAsync("m", Request, Cancellation));

        Assert.Equal(4, stub.Received.Count);
    }

    [Fact]
    public async Task A_caller_fault_is_not_repeated()
    {
        await using var stub = await StubOpenAi.StartAsync((_, _) => StubAnswer.Fails(400, "invalid_value"));

        await Assert.ThrowsAsync<ModelCallException>(() => Client(stub).ChatAsync("m", Request, Cancellation));

        Assert.Single(stub.Received);
    }

    [Theory]
    [InlineData(400, "content_filter")]
    [InlineData(400, "content_policy_violation")]
    [InlineData(403, "moderation_blocked")]
    [InlineData(422, "prompt_injection")]
    public async Task A_declined_prompt_is_an_answer(int status, string code)
    {
        await using var stub = await StubOpenAi.StartAsync((_, _) => StubAnswer.Fails(status, code));

        var reply = await Client(stub).ChatAsync("m", Request, Cancellation);

        Assert.Equal("content_filter", reply.FinishReason);
        Assert.Equal("it failed", reply.Refusal);
    }

    [Theory]
    [InlineData(401, "invalid_api_key", "--api-key")]
    [InlineData(404, "model_not_found", "'m'")]
    [InlineData(404, "not_found", "--url")]
    public async Task A_target_that_refuses_us_ends_the_run_with_the_remedy(int status, string code, string remedy)
    {
        await using var stub = await StubOpenAi.StartAsync((_, _) => StubAnswer.Fails(status, code));

        var problem = await Assert.ThrowsAsync<TargetException>(() => Client(stub).ChatAsync("m", Request, Cancellation));

        Assert.Contains(remedy, problem.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("not json")]
    [InlineData("{}")]
    [InlineData("""{"choices":[]}""")]
    [InlineData("[]")]
    public async Task A_malformed_answer_is_an_error(string body)
    {
        await using var stub = await StubOpenAi.StartAsync((_, _) => new StubAnswer(200, body));

        await Assert.ThrowsAsync<ModelCallException>(() => Client(stub).ChatAsync("m", Request, Cancellation));
    }

    [Fact]
    public async Task Nobody_there_is_one_clear_sentence()
    {
        string url;
        await using (var stub = await StubOpenAi.StartAsync((_, _) => StubAnswer.Says("")))
            url = stub.Url;
        await using var clients = await StubOpenAi.StartAsync((_, _) => StubAnswer.Says(""));
        var client = new OpenAiClient(clients.CreateClient(), TargetAddress.Of(url, null), null, TimeProvider.System, new Random(1));

        var problem = await Assert.ThrowsAsync<TargetException>(() => client.CheckAsync(Cancellation));

        Assert.Contains("dotnet run --project AppHost", problem.Message, StringComparison.Ordinal);
    }

    private static OpenAiClient Client(StubOpenAi stub, TimeProvider? time = null) =>
        new(stub.CreateClient(), TargetAddress.Of(stub.Url, "sk-test"), "support", time ?? TimeProvider.System, new Random(1));

    /// <summary>Waits are over at once and remembered; time-outs, which are longer, stay real.</summary>
    private sealed class ImpatientTime : TimeProvider
    {
        public ConcurrentQueue<TimeSpan> Waits { get; } = new();

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
        {
            if (dueTime > TimeSpan.FromMinutes(1) || dueTime < TimeSpan.Zero)
                return base.CreateTimer(callback, state, dueTime, period);
            Waits.Enqueue(dueTime);
            return base.CreateTimer(callback, state, TimeSpan.Zero, period);
        }
    }
}
