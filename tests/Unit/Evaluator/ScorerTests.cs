using System.Text.Json.Nodes;
using AiAspire.Evaluator.Scoring;
using AiAspire.Evaluator.Suites;
using AiAspire.Evaluator.Targets;

namespace AiAspire.Unit.Evaluator;

public sealed class ScorerTests
{
    [Theory]
    [InlineData("{ type: contains, value: Blue }", "a Blue bike", true, 1)]
    [InlineData("{ type: contains, value: Blue }", "a blue bike", false, 0)]
    [InlineData("{ type: icontains, value: Blue }", "a blue bike", true, 1)]
    [InlineData("{ type: icontains, all: [a, b, x], any: [c, d] }", "a b c", false, 0.75)]
    [InlineData("{ type: icontains, any: [c, d] }", "D", true, 1)]
    [InlineData("{ type: not_contains, value: secret }", "nothing", true, 1)]
    [InlineData("{ type: not_contains, any: [x, secret] }", "the SECRET", false, 0)]
    [InlineData("{ type: equals, value: yes }", " yes\n", true, 1)]
    [InlineData("{ type: equals, value: yes }", "yes!", false, 0)]
    [InlineData("{ type: regex, pattern: '\\b14\\b' }", "in 14 days", true, 1)]
    [InlineData("{ type: regex, pattern: '^A', ignore_case: true }", "abc", true, 1)]
    [InlineData("{ type: regex, pattern: '^A' }", "abc", false, 0)]
    [InlineData("{ type: regex, pattern: '(a+)+$' }", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!", false, 0)]
    [InlineData("{ type: max_words, value: 3 }", "one  two\nthree", true, 1)]
    [InlineData("{ type: max_words, value: 2 }", "one two three", false, 0)]
    [InlineData("{ type: min_words, value: 2 }", "one", false, 0)]
    [InlineData("{ type: refusal }", "Sorry, I can’t share that.", true, 1)]
    [InlineData("{ type: refusal }", "We do not share customer data.", true, 1)]
    [InlineData("{ type: refusal }", "Das darf ich Ihnen leider nicht sagen.", true, 1)]
    [InlineData("{ type: refusal }", "Of course! The code is 7.", false, 0)]
    [InlineData("{ type: refusal, expected: false }", "Of course, here it is.", true, 1)]
    [InlineData("{ type: json_schema, schema: { type: object, required: [a], properties: { a: { type: number } } } }", """{"a":1.5}""", true, 1)]
    [InlineData("{ type: json_schema, schema: { type: object, required: [a], properties: { a: { type: number } } } }", """{"a":"1"}""", false, 0)]
    [InlineData("{ type: json_schema, schema: { type: object } }", "Here: {}", false, 0)]
    [InlineData("{ type: json_schema, schema: { type: object } }", "{} and more", false, 0)]
    [InlineData("{ type: json_path, path: $.n }", """{"n":2} and more""", false, 0)]
    [InlineData("{ type: json_path, path: '$.o[1].d' }", """{"o":[1,{"d":null}]}""", true, 1)]
    [InlineData("{ type: json_path, path: $.n, equals: 2 }", """{"n":2.0}""", true, 1)]
    [InlineData("{ type: json_path, path: $.n, equals: '2' }", """{"n":2}""", false, 0)]
    [InlineData("{ type: json_path, path: $.d, equals: '2026-01-02T03:04:05Z' }", """{"d":"2026-01-02T03:04:05Z"}""", true, 1)]
    [InlineData("{ type: json_path, path: $.x, equals: true }", "not json", false, 0)]
    [Trait("Checklist", "EVAL-03")]
    public async Task Text_scorers(string yaml, string reply, bool pass, double score)
    {
        var result = await ScoreAsync(yaml, new ChatReply { Content = reply });

        Assert.Equal(pass, result.Pass);
        Assert.Equal(score, result.Score, 6);
        Assert.NotEmpty(result.Reason);
    }

    [Theory]
    [InlineData("{ type: tool_call, name: look }", "look", "{}", true, 1)]
    [InlineData("{ type: tool_call, name: look, arguments: { id: NB-1, o: { n: 2 } } }", "look", """{"id":"nb-1","o":{"n":2,"m":3},"x":1}""", true, 1)]
    [InlineData("{ type: tool_call, name: look, arguments: { id: NB-1 } }", "look", """{"id":"NB-2"}""", false, 0.5)]
    [InlineData("{ type: tool_call, name: look, arguments: { id: NB-1 } }", "look", "{broken", false, 0.5)]
    [InlineData("{ type: tool_call, name: look }", "other", "{}", false, 0)]
    [InlineData("{ type: tool_call, none: true }", "other", "{}", false, 0)]
    [InlineData("{ type: not_contains, value: secret }", "send", """{"text":"Secret"}""", false, 0)]
    public async Task Tool_calls(string yaml, string tool, string arguments, bool pass, double score)
    {
        var result = await ScoreAsync(yaml, new ChatReply { ToolCalls = [new ToolCall(tool, arguments)] });

        Assert.Equal(pass, result.Pass);
        Assert.Equal(score, result.Score, 6);
    }

    [Fact]
    public async Task A_refusal_of_the_wire_or_of_a_filter_counts()
    {
        Assert.True((await ScoreAsync("{ type: refusal }", new ChatReply { Refusal = "no" })).Pass);
        Assert.True((await ScoreAsync("{ type: refusal }", new ChatReply { FinishReason = "content_filter" })).Pass);
    }

    [Fact]
    public async Task Similarity_is_the_cosine_and_carries_its_cost()
    {
        var models = new FakeModels { Vectors = [[1, 0], [0.8f, 0.6f]] };

        var near = await ScoreAsync("{ type: similarity, reference: x, threshold: 0.7, model: e }", new ChatReply { Content = "y" }, models);
        var far = await ScoreAsync("{ type: similarity, reference: x, threshold: 0.9, model: e }", new ChatReply { Content = "y" }, models);

        Assert.True(near.Pass);
        Assert.Equal(0.8, near.Score, 3);
        Assert.Equal(0.001m, near.CostUsd);
        Assert.False(far.Pass);
    }

    [Theory]
    [InlineData("""{"score": 5, "reason": "good"}""", true, 1)]
    [InlineData("```json\n{\"score\": 4.5, \"reason\": \"good\"}\n```", true, 0.75)]
    [InlineData("""{"score": 3, "reason": "partly"}""", false, 0.5)]
    public async Task A_judge_rates_from_1_to_5(string verdict, bool pass, double score)
    {
        var models = new FakeModels { Answer = verdict };

        var result = await ScoreAsync("{ type: judge, rubric: Is kind. }", new ChatReply { Content = "Hello" }, models);

        Assert.Equal(pass, result.Pass);
        Assert.Equal(score, result.Score, 6);
        Assert.Equal(JudgeScorer.Version, result.JudgeVersion);
        var sent = models.Sent!.ToJsonString();
        Assert.Contains("Is kind.", sent, StringComparison.Ordinal);
        Assert.DoesNotContain("candidate", sent, StringComparison.OrdinalIgnoreCase);
    }

    [Theory]
    [InlineData("I think it is fine.")]
    [InlineData("""{"score": 9}""")]
    [InlineData("""{"score": "five"}""")]
    [InlineData("{broken}")]
    public async Task A_judge_that_does_not_judge_is_an_error(string verdict) => await Assert.ThrowsAsync<ModelCallException>(
        () => ScoreAsync("{ type: judge, rubric: x }", new ChatReply(), new FakeModels { Answer = verdict }));

    private static async Task<ScorerResult> ScoreAsync(string yaml, ChatReply reply, IModelClient? models = null)
    {
        var suite = SuiteReader.Read($"name: s\ncases:\n  - id: c\n    user: Question\n    scorers:\n      - {yaml}", "s.yaml");
        var context = new ScoringContext(suite.Cases[0], reply, models ?? new FakeModels(), "judge", null);
        return await suite.Cases[0].Scorers[0].Scorer.ScoreAsync(context, TestContext.Current.CancellationToken);
    }

    private sealed class FakeModels : IModelClient
    {
        public string Answer { get; init; } = "";

        public IReadOnlyList<float[]> Vectors { get; init; } = [];

        public JsonObject? Sent { get; private set; }

        public Task<ChatReply> ChatAsync(string model, JsonObject request, CancellationToken cancellationToken)
        {
            Sent = request;
            return Task.FromResult(new ChatReply { Content = Answer });
        }

        public Task<EmbeddingReply> EmbedAsync(string model, IReadOnlyList<string> texts, CancellationToken cancellationToken) =>
            Task.FromResult(new EmbeddingReply(Vectors, 0.001m));

        public Task CheckAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }
}
