using System.Globalization;
using AiAspire.Core.Models;
using AiAspire.Core.Routing;
using AiAspire.Core.Wire;

namespace AiAspire.Unit.CoreTests.Routing;

/// <summary>What a provider says it used, against what was sent to it and what came.</summary>
public sealed class ReportedUsageTests : RouteCases
{
    private const string Question = """{"model":"one-model","messages":[{"role":"user","content":"Say hello to the world, please."}]}""";
    private static readonly string Words = string.Join(' ', Enumerable.Range(0, 200).Select(i => "word"));

    [Theory]
    [InlineData("0", "3")]
    [InlineData("-11", "3")]
    [InlineData("\"11\"", "3")]
    [InlineData("1e30", "3")]
    [InlineData("2147483647", "3")]
    [InlineData("9223372036854775807", "3")]
    [InlineData("11", "0")]
    [InlineData("11", "-3")]
    [InlineData("11", "353")]
    [InlineData("11", "1000000000")]
    [Trait("Checklist", "PROV-04")]
    public async Task What_cannot_be_true_is_counted_by_us_and_marked(string input, string output)
    {
        var attempt = await AskAsync(Question, "Hello there, world!", $$"""{"prompt_tokens":{{input}},"completion_tokens":{{output}}}""");

        Assert.Equal((AttemptOutcome.Succeeded, UsageSource.Disputed), (attempt.Outcome, attempt.UsageSource));
        Assert.True(attempt.Usage is { Input: >= 8 and < 30, CachedInput: 0, Output: >= 3 and < 8 }, attempt.Usage.ToString());
    }

    [Theory]
    // The provider's own words before ours.
    [InlineData("900", "3", 900, 3)]
    // All of the cap, most of it reasoning that nobody sees.
    [InlineData("11", "256", 11, 256)]
    // Another tokenizer.
    [InlineData("5", "9", 5, 9)]
    [InlineData("20", "2", 20, 2)]
    public async Task What_may_be_true_is_believed(string input, string output, long inputTokens, long outputTokens)
    {
        var attempt = await AskAsync(Question, "Hello there, world!", $$"""{"prompt_tokens":{{input}},"completion_tokens":{{output}}}""");

        Assert.Equal((UsageSource.Provider, new TokenUsage(inputTokens, 0, 0, outputTokens, 0)), (attempt.UsageSource, attempt.Usage));
    }

    [Theory]
    [InlineData(201, UsageSource.Provider)]
    [InlineData(95, UsageSource.Provider)]
    [InlineData(60, UsageSource.Disputed)]
    [InlineData(1, UsageSource.Disputed)]
    public async Task Far_less_than_was_delivered_is_not_believed(int reported, UsageSource source)
    {
        var attempt = await AskAsync(Question, Words, $$"""{"prompt_tokens":11,"completion_tokens":{{reported}}}""");

        Assert.Equal((source, source == UsageSource.Provider ? reported : 200), (attempt.UsageSource, attempt.Usage.Output));
    }

    [Theory]
    [InlineData(200, UsageSource.Provider)]
    [InlineData(40, UsageSource.Provider)]
    [InlineData(10, UsageSource.Disputed)]
    public async Task Far_less_than_was_sent_is_not_believed(int reported, UsageSource source)
    {
        var attempt = await AskAsync(
            string.Create(CultureInfo.InvariantCulture, $$"""{"model":"one-model","messages":[{"role":"user","content":"{{Words}}"}]}"""),
            "Hi", $$"""{"prompt_tokens":{{reported}},"completion_tokens":1}""");

        Assert.Equal(source, attempt.UsageSource);
        Assert.InRange(attempt.Usage.Input, source == UsageSource.Provider ? reported : 200, source == UsageSource.Provider ? reported : 220);
    }

    [Fact]
    public async Task Pictures_may_be_many_tokens_and_words_may_not()
    {
        const string Picture = """{"model":"one-model","messages":[{"role":"user","content":[{"type":"text","text":"What is it?"},{"type":"image_url","image_url":{"url":"https://example.com/a.png"}}]}]}""";
        const string Usage = """{"prompt_tokens":37000,"completion_tokens":3}""";

        Assert.Equal(UsageSource.Provider, (await AskAsync(Picture, "A cat.", Usage)).UsageSource);
        Assert.Equal(UsageSource.Disputed, (await AskAsync(Question, "A cat.", Usage)).UsageSource);
    }

    [Fact]
    public async Task A_streamed_tool_call_is_weighed_by_its_arguments_and_not_by_the_chunks_around_them()
    {
        string[] parts = ["{\\\"city\\\":", "\\\"Paris\\\"", "}"];
        Providers.Host("one", () => FakeProviders.Stream(
            [
                """{"id":"c","choices":[{"index":0,"delta":{"role":"assistant","tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"weather","arguments":""}}]}}]}""",
                .. parts.Select(p => $$$"""{"id":"c","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{{{p}}}"}}]}}]}"""),
                """{"id":"c","choices":[],"usage":{"prompt_tokens":11,"completion_tokens":7}}""",
                "[DONE]",
            ]));
        var call = Call(SampleStreams.Streaming, One);

        await Providers.Step().RunAsync(call);

        Assert.Equal((UsageSource.Provider, 7), (call.Attempts[0].UsageSource, call.Attempts[0].Usage.Output));
        Assert.InRange(call.Reply.DeliveredBytes, 20, 40);
    }

    private async Task<Attempt> AskAsync(string question, string answer, string usage)
    {
        Providers.Host("one", () => FakeProviders.Whole(answer, usage));
        var call = Call(question, One);
        call.EstimatedInput = call.Request.EstimateInput();
        await Providers.Step().RunAsync(call);
        return Assert.Single(call.Attempts);
    }
}
