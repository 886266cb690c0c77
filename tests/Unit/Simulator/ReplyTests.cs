using System.Text;
using AiAspire.Simulator;
using AiAspire.Simulator.Behaviours;
using AiAspire.Simulator.Generation;
using AiAspire.Simulator.Replies;
using AiAspire.Simulator.Tokens;
using CsCheck;

namespace AiAspire.Unit.Simulation;

public sealed class ReplyTests
{
    private static readonly TokenCounter Tokens = new();

    [Fact]
    public void Pieces_are_the_text_again_and_count_like_the_whole()
        => Gen.OneOf(Gen.String[Gen.Char['a', 'z'], 0, 40], Gen.String[0, 40], Gen.Const("🦊👩‍👩‍👧 漢字 Zażółć"), Gen.Const(new string('x', 9000) + " 🦊"))
            .List[1, 6].Select(parts => string.Join(' ', parts)).Where(text => Encoding.UTF8.GetString(Encoding.UTF8.GetBytes(text)) == text)
            .Sample(text =>
            {
                var pieces = Tokens.Pieces(text);
                return string.Concat(pieces.Select(p => p.Text)) == text && pieces.Sum(p => p.Tokens) == Tokens.Count(text);
            });

    [Theory]
    [InlineData("hello there!", "Hello!")]
    [InlineData("What is the capital of France?", "The capital of France is Paris.")]
    [InlineData("what is 6 * 7", "6 * 7 is 42.")]
    [InlineData("say exactly:  keep me", "keep me")]
    [InlineData("rivers", "You wrote: \"rivers\".")]
    [InlineData("  ", "I received your message")]
    public void The_reply_follows_the_user(string text, string expected)
        => Assert.StartsWith(expected, Reply(text).Text, StringComparison.Ordinal);

    [Fact]
    public void An_echo_has_several_tokens_and_quotes_long_texts_in_part()
    {
        Assert.True(Tokens.Count(Reply("x").Text) >= 8);
        var echo = Reply(string.Concat(Enumerable.Repeat("word ", 10_000))).Text;
        Assert.InRange(echo.Length, 200, 400);
        Assert.Contains("…", echo, StringComparison.Ordinal);
    }

    [Fact]
    public void Rules_fill_groups_escape_JSON_and_respect_model_system_and_format()
    {
        using var folder = new RuleFolder("""
            [
              { "pattern": "^order (?<id>\\d+)$", "model": "other", "reply": "never" },
              { "pattern": "^order (?<id>\\d+)$", "system": "polite", "reply": "Dear customer, {{id}} is on its way." },
              { "pattern": "^order (?<id>\\d+)$", "toolCall": { "name": "find_order", "arguments": { "id": "{{id}}", "deep": { "x": 1 }} } },
              { "pattern": "^order (?<id>\\d+)$", "reply": "{{id}}! {{nobody}}" },
              { "pattern": "^quote (.*)$", "json": { "text": "{{1}}" } },
              { "pattern": "^order", "afterTool": true, "reply": "The shop says: {{tool}}" }
            ]
            """);
        var rules = new ScriptedRules(RuleFiles.Load(folder.Path));
        Assert.Equal("7! {{nobody}}", rules.Find(Prompt("order 7"), "sim-large")?.Text);
        Assert.Equal("Dear customer, 7 is on its way.", rules.Find(Prompt("order 7", system: "Be polite."), "sim-large")?.Text);
        var offered = Prompt("order 7");
        offered.Tools.Add(new OfferedTool("find_order", default));
        Assert.Equal(new ReplyPart("find_order", """{"id":"7","deep":{"x":1}}"""), rules.Find(offered, "sim-large"));
        Assert.Equal("""{"text":"a \"b\" \\"}""", rules.Find(Prompt("quote a \"b\" \\"), "sim-large")?.Text);
        offered.ToolResult = "shipped";
        Assert.Equal("The shop says: shipped", rules.Find(offered, "sim-large")?.Text);
        var json = Prompt("order 7");
        json.Format = AnswerFormat.JsonObject;
        Assert.Null(rules.Find(json, "sim-large"));
    }

    [Theory]
    [InlineData("{}", "array")]
    [InlineData("""[{"reply":"x"}]""", "pattern")]
    [InlineData("""[{"pattern":"x"}]""", "exactly one")]
    [InlineData("""[{"pattern":"x","reply":"y","json":{}}]""", "exactly one")]
    [InlineData("""[{"pattern":"(","reply":"y"}]""", "(")]
    [InlineData("""[{"pattern":"x","replay":"y"}]""", "replay")]
    [InlineData("[", "rules.json")]
    public void A_rule_file_that_cannot_be_understood_says_why(string json, string expected)
    {
        using var folder = new RuleFolder(json);
        var error = Assert.Throws<InvalidOperationException>(() => RuleFiles.Load(folder.Path));
        Assert.Contains(expected, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Drift_spoils_text_and_JSON_but_not_direct_orders()
    {
        var drifting = new Behaviour { QualityDrift = 1 };
        Assert.DoesNotContain("Paris", Reply("What is the capital of France?", drifting).Text, StringComparison.Ordinal);
        Assert.Equal("as told", Reply("say exactly: as told", drifting).Text);
        Assert.Equal("""{"a":2,"b":[false,null],"c":"other"}""", WrongAnswers.Spoil("""{"a":1,"b":[true,null],"c":"x"}"""));
    }

    [Fact]
    public void Latencies_keep_to_their_distribution()
    {
        static double[] Draw(Latency latency)
            => [.. Enumerable.Range(0, 20_000).Select(i => latency.Draw(
                StableHash.Unit(StableHash.Mix((ulong)i)), StableHash.Unit(StableHash.Mix((ulong)(i + 1_000_000)))).TotalMilliseconds).Order()];

        var lognormal = Draw(new Latency { Kind = "lognormal", P50Ms = 100, P99Ms = 900 });
        Assert.InRange(lognormal[10_000], 95, 105);
        Assert.InRange(lognormal[19_800], 780, 1030);
        var uniform = Draw(new Latency { Kind = "uniform", MinMs = 10, MaxMs = 20 });
        Assert.InRange(uniform[0], 10, 10.1);
        Assert.InRange(uniform[^1], 19.9, 20);
    }

    private static ReplyPart Reply(string text, Behaviour? behaviour = null)
        => new ReplyWriter(new ScriptedRules(RuleFiles.Load(Path.Combine(AppContext.BaseDirectory, "rules"))))
            .Write(Prompt(text), "sim-large", behaviour ?? Behaviour.Perfect)[0];

    private static ChatPrompt Prompt(string text, string system = "")
    {
        var prompt = new ChatPrompt { LastUserText = text, SystemText = system };
        prompt.Segments.Add(new PromptSegment(text, 4, 0));
        return prompt;
    }

    private sealed class RuleFolder : IDisposable
    {
        public RuleFolder(string json)
        {
            Path = Directory.CreateTempSubdirectory("rules").FullName;
            File.WriteAllText(System.IO.Path.Combine(Path, "rules.json"), json);
        }

        public string Path { get; }

        public void Dispose() => Directory.Delete(Path, recursive: true);
    }
}
