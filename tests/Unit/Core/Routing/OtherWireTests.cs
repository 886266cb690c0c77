using System.Net;
using System.Text;
using System.Text.Json;
using AiAspire.Core.Models;
using AiAspire.Core.Wire;

namespace AiAspire.Unit.CoreTests.Routing;

/// <summary>What Anthropic's own SDK sends for a request of OpenAI's, and what becomes of the company's refusals.</summary>
public sealed class OtherWireTests : RouteCases
{
    private const string Weather = """{"type":"function","function":{"name":"weather","parameters":{"type":"object","properties":{}}}}""";

    private readonly PricedTarget _claude = SampleCalls.Target("claude", wire: ProviderWire.Anthropic);

    [Theory]
    [InlineData("\"parallel_tool_calls\":false", """{"type":"auto","disable_parallel_tool_use":true}""")]
    [InlineData("\"parallel_tool_calls\":false,\"tool_choice\":\"required\"", """{"type":"any","disable_parallel_tool_use":true}""")]
    [InlineData("\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"weather\"}}", """{"type":"tool","name":"weather"}""")]
    [Trait("Checklist", "PROV-02")]
    public async Task How_tools_may_be_called_is_told(string field, string choice)
    {
        var sent = await SentAsync($"\"tools\":[{Weather}],{field}");

        Assert.True(JsonElement.DeepEquals(JsonElement.Parse(choice), sent.GetProperty("tool_choice")), sent.GetProperty("tool_choice").GetRawText());
    }

    [Fact]
    [Trait("Checklist", "PROV-02")]
    public async Task Temperature_and_top_p_are_told()
    {
        var sent = await SentAsync("\"temperature\":0.3,\"top_p\":0.5");

        Assert.Equal((0.3, 0.5), (sent.GetProperty("temperature").GetDouble(), sent.GetProperty("top_p").GetDouble()));
        Assert.Equal((1, "claude-model", 256), (sent.GetProperty("messages").GetArrayLength(), sent.GetProperty("model").GetString(), sent.GetProperty("max_tokens").GetInt32()));
    }

    [Fact]
    public async Task Without_tools_nothing_is_said_of_them()
        => Assert.False((await SentAsync("\"parallel_tool_calls\":false")).TryGetProperty("tool_choice", out _));

    [Fact]
    [Trait("Checklist", "PROV-02")]
    public async Task A_schema_with_its_fields_arrives()
    {
        var sent = await SentAsync(
            "\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"s\",\"schema\":{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\"}},\"required\":[]}}}");

        Assert.Equal("string", sent.GetProperty("output_config").GetProperty("format").GetProperty("schema").GetProperty("properties").GetProperty("a").GetProperty("type").GetString());
    }

    [Fact]
    public async Task A_refusal_in_the_conversation_is_part_of_it()
    {
        Providers.Host("claude", Reply);
        await Providers.Step(null, null, _claude).RunAsync(Call(
            """{"model":"m","messages":[{"role":"user","content":"a"},{"role":"assistant","content":null,"refusal":"No."},{"role":"user","content":"b"}]}""", _claude));

        Assert.Contains("\"No.\"", Assert.Single(Providers.Bodies), StringComparison.Ordinal);
    }

    [Fact]
    [Trait("Checklist", "PROV-02")]
    public async Task The_companys_words_about_the_callers_fault_reach_the_caller_in_openais_shape()
    {
        Providers.Host("claude", () => Refusal("messages: roles must alternate"));
        var call = Call(_claude, One);

        var refusal = await Assert.ThrowsAsync<WireException>(() => Providers.Step(null, null, _claude, One).RunAsync(call));

        Assert.Equal((400, "provider_refused"), (refusal.Status, refusal.Code));
        Assert.Equal(
            """{"error":{"message":"messages: roles must alternate","type":"invalid_request_error","param":null,"code":"provider_refused"}}""",
            Encoding.UTF8.GetString(ErrorObject.BodyOf(refusal).Span));
        Assert.Equal(AttemptOutcome.Refused, Assert.Single(call.Attempts).Outcome);
    }

    [Fact]
    [Trait("Checklist", "PROV-03")]
    public async Task The_companys_words_about_our_account_do_not_and_another_target_serves()
    {
        Providers.Host("claude", () => Refusal("Your credit balance is too low to access the Anthropic API.")).Host("one", () => FakeProviders.Whole("Hi"));
        var call = Call(_claude, One);

        await Providers.Step(null, null, _claude, One).RunAsync(call);

        Assert.Equal(["auth_failed", null], call.Attempts.Select(a => a.ErrorCode));
    }

    private static HttpResponseMessage Refusal(string message)
        => FakeProviders.Status(HttpStatusCode.BadRequest, $$$"""{"type":"error","error":{"type":"invalid_request_error","message":"{{{message}}}"},"request_id":"req_1"}""");

    private static HttpResponseMessage Reply() => FakeProviders.Status(
        HttpStatusCode.OK,
        """{"id":"msg_1","type":"message","role":"assistant","model":"claude-model","content":[{"type":"text","text":"Hi"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":11,"output_tokens":3}}""");

    /// <summary>The body that the SDK sends for a request with these fields.</summary>
    private async Task<JsonElement> SentAsync(string fields)
    {
        Providers.Host("claude", Reply);
        await Providers.Step(null, null, _claude).RunAsync(Call($$"""{"model":"m","messages":[{"role":"user","content":"a"}],{{fields}} }""", _claude));
        return JsonElement.Parse(Assert.Single(Providers.Bodies));
    }
}
