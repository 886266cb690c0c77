using System.Text.Json.Nodes;
using AiAspire.Evaluator.Suites;

namespace AiAspire.Unit.Evaluator;

public sealed class SuiteReaderTests
{
    private const string Valid = """
        name: demo
        feature: support
        defaults: { system: Be kind., temperature: 0, max_tokens: 50, repeats: 2, margin: 0.2 }
        gate: { pass_rate: 0.9, max_cost_usd: 0.01 }
        cases:
          - id: one
            tags: [a, b]
            critical: true
            user: Hello
            scorers:
              - { type: icontains, value: hi, weight: 2 }
        """;

    [Fact]
    public void Reads_what_a_case_sends_and_the_gate()
    {
        var suite = SuiteReader.Read(Valid, "demo.yaml");

        var one = Assert.Single(suite.Cases);
        Assert.True(one.Critical);
        Assert.Equal(["a", "b"], one.Tags);
        Assert.Equal(2, Assert.Single(one.Scorers).Weight);
        Assert.True(JsonNode.DeepEquals(one.Request, JsonNode.Parse("""
            {"messages":[{"role":"system","content":"Be kind."},{"role":"user","content":"Hello"}],"temperature":0,"max_tokens":50}
            """)));
        Assert.Equal(0.9, suite.Gate.PassRate);
        Assert.Equal(0.2, suite.Gate.Margin);
        Assert.Equal(0.01m, suite.Gate.MaxCostUsd);
    }

    [Fact]
    public void The_prompts_hash_ignores_what_is_not_sent()
    {
        var suite = SuiteReader.Read(Valid, "demo.yaml");
        var commented = SuiteReader.Read(Valid + "\n# a comment", "demo.yaml");
        var reworded = SuiteReader.Read(Valid.Replace("Hello", "Hallo", StringComparison.Ordinal), "demo.yaml");

        Assert.NotEqual(suite.Hash, commented.Hash);
        Assert.Equal(suite.PromptsHash, commented.PromptsHash);
        Assert.NotEqual(suite.PromptsHash, reworded.PromptsHash);
    }

    [Theory]
    [InlineData("feature: support", "featur: support", 2, "unknown key 'featur'")]
    [InlineData("critical: true", "critcal: true", 8, "unknown key 'critcal'")]
    [InlineData("critical: true", "critical: perhaps", 8, "true or false")]
    [InlineData("value: hi,", "valeu: hi,", 11, "needs 'value'")]
    [InlineData("value: hi,", "value: hi, rubric: x,", 11, "unknown key 'rubric'")]
    [InlineData("type: icontains", "type: telepathy", 11, "unknown scorer 'telepathy'")]
    [InlineData("weight: 2", "weight: 0", 6, "could never fail")]
    [InlineData("weight: 2", "weight: -1", 11, "number from 0")]
    [InlineData("user: Hello", "user: Hello\n    user: Again", 10, "Duplicate key")]
    [InlineData("user: Hello", "text: Hello", 6, "'user' or 'messages'")]
    [InlineData("repeats: 2", "repeats: 2.5", 3, "whole number")]
    [InlineData("name: demo", "name: ../demo", 1, "'name'")]
    [InlineData("pass_rate: 0.9", "pass_rate: 90", 4, "number from 0 to 1")]
    public void Refuses_what_it_does_not_understand_and_names_the_line(string from, string to, long line, string reason)
    {
        var problem = Assert.Throws<SuiteFormatException>(() => SuiteReader.Read(Valid.Replace(from, to, StringComparison.Ordinal), "demo.yaml"));

        Assert.Equal(line, problem.Line);
        Assert.StartsWith($"demo.yaml({line}): ", problem.Message, StringComparison.Ordinal);
        Assert.Contains(reason, problem.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Refuses_two_cases_of_one_id_and_bad_patterns()
    {
        var twice = Valid + "\n  - { id: one, user: x, scorers: [{ type: equals, value: x }] }";
        Assert.Contains("occurs 2 times", Assert.Throws<SuiteFormatException>(() => SuiteReader.Read(twice, "f")).Message, StringComparison.Ordinal);

        var pattern = Valid + "\n  - { id: two, user: x, scorers: [{ type: regex, pattern: '(' }] }";
        Assert.Equal(12, Assert.Throws<SuiteFormatException>(() => SuiteReader.Read(pattern, "f")).Line);
    }
}
