namespace AiAspire.Unit.CoreTests.Wire;

public sealed class ChatRequestTests
{
    [Fact]
    public void What_policy_needs_is_read()
    {
        using var request = SampleCalls.Request(
            """
            {"model":"m","messages":[{"role":"developer","content":"a"},{"role":"tool","content":[]},{"role":"assistant","content":null},{"role":"function"}],
             "stream":true,"stream_options":{"include_usage":true},"max_tokens":10,"max_completion_tokens":20,"n":3,"user":"u-1"}
            """);

        Assert.Equal(("m", true, true, 20, 3, "u-1"), (request.Model, request.Stream, request.IncludeUsage, request.MaxOutputTokens, request.Choices, request.User));
        Assert.Equal(4, request.Messages.GetArrayLength());
    }

    [Fact]
    public void Null_is_absent()
    {
        using var request = SampleCalls.Request(
            """
            {"model":"m","messages":[{"role":"user","content":"a"}],"stream":null,"stream_options":null,"max_tokens":null,"max_completion_tokens":null,
             "n":null,"user":null,"temperature":null,"top_p":null,"presence_penalty":null,"frequency_penalty":null,"top_logprobs":null}
            """);

        Assert.Equal((false, false, null, 1, null), (request.Stream, request.IncludeUsage, request.MaxOutputTokens, request.Choices, request.User));
    }

    [Theory]
    [InlineData("\"temperature\":0,\"top_p\":0,\"n\":1,\"max_tokens\":1")]
    [InlineData("\"temperature\":2,\"top_p\":1,\"n\":128,\"max_tokens\":2147483647")]
    [InlineData("\"temperature\":2.0,\"presence_penalty\":-2,\"frequency_penalty\":2.000,\"top_logprobs\":20")]
    [InlineData("\"temperature\":1e-400")]
    public void The_ends_of_each_range_are_within_it(string fields)
    {
        using var request = SampleCalls.Request($"{{\"model\":\"m\",\"messages\":[{{\"role\":\"user\",\"content\":\"a\"}}],{fields}}}");

        Assert.Equal("m", request.Model);
    }

    [Theory]
    [InlineData("\"max_tokens\":50", 50)]
    [InlineData("\"max_completion_tokens\":60", 60)]
    [InlineData("\"max_tokens\":50,\"max_completion_tokens\":60", 60)]
    [InlineData("\"max_tokens\":70,\"max_completion_tokens\":60", 70)]
    [InlineData("\"max_tokens\":70,\"max_completion_tokens\":null", 70)]
    public void The_larger_cap_counts_for_a_provider_may_obey_either(string fields, int expected)
    {
        using var request = SampleCalls.Request($"{{\"model\":\"m\",\"messages\":[{{\"role\":\"user\",\"content\":\"a\"}}],{fields}}}");

        Assert.Equal(expected, request.MaxOutputTokens);
    }
}
