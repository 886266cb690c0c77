using System.Text.Json;
using AiAspire.Simulator.Replies;

namespace AiAspire.Unit.Simulation;

public sealed class ToolAndSchemaTests
{
    private static readonly object[] TwoTools = [Chat.Tool("get_weather"), Chat.Tool("book_table")];

    [Theory]
    [InlineData("how is the weather today", "auto", "get_weather")]
    [InlineData("please book a table for two", "auto", "book_table")]
    [InlineData("can you help me?", "auto", "get_weather")]
    [InlineData("anything", "required", "get_weather")]
    public async Task A_tool_is_called_when_the_message_asks_for_it(string text, string choice, string expected)
    {
        await using var company = await SimulatedCompany.OpenAiAsync();
        var reply = await company.PostAsync(Chat.Path, Chat.Request(text, ("tools", TwoTools), ("tool_choice", choice)));

        Assert.Equal("tool_calls", reply.FinishReason());
        var message = reply.GetProperty("choices")[0].GetProperty("message");
        Assert.Equal(JsonValueKind.Null, message.GetProperty("content").ValueKind);
        var call = Assert.Single(message.GetProperty("tool_calls").EnumerateArray());
        Assert.Equal(expected, call.GetProperty("function").GetProperty("name").GetString());
        var arguments = JsonSerializer.Deserialize<JsonElement>(call.GetProperty("function").GetProperty("arguments").GetString()!);
        Assert.Equal(2, arguments.GetProperty("days").GetInt32());
        Assert.NotEmpty(arguments.GetProperty("city").GetString()!);
    }

    [Theory]
    [InlineData("just talk to me", "auto")]
    [InlineData("how is the weather?", "none")]
    public async Task No_tool_is_called_when_nothing_asks_for_it(string text, string choice)
    {
        await using var company = await SimulatedCompany.OpenAiAsync();
        var reply = await company.PostAsync(Chat.Path, Chat.Request(text, ("tools", TwoTools), ("tool_choice", choice)));
        Assert.Equal("stop", reply.FinishReason());
        Assert.NotEmpty(reply.Content()!);
    }

    [Fact]
    public async Task Parallel_calls_every_tool_unless_that_is_switched_off()
    {
        await using var company = await SimulatedCompany.OpenAiAsync();
        var many = await company.PostAsync(Chat.Path, Chat.Request("in parallel please?", ("tools", TwoTools)));
        var one = await company.PostAsync(Chat.Path, Chat.Request("in parallel please?", ("tools", TwoTools), ("parallel_tool_calls", false)));

        var calls = many.GetProperty("choices")[0].GetProperty("message").GetProperty("tool_calls").EnumerateArray().ToArray();
        Assert.Equal(2, calls.Select(c => c.GetProperty("id").GetString()).Distinct(StringComparer.Ordinal).Count());
        Assert.Equal(1, one.GetProperty("choices")[0].GetProperty("message").GetProperty("tool_calls").GetArrayLength());
    }

    [Fact]
    public async Task Streamed_calls_add_up_to_the_whole_ones()
    {
        await using var company = await SimulatedCompany.OpenAiAsync();
        var whole = await company.PostAsync(Chat.Path, Chat.Request("in parallel please", ("tools", TwoTools)));
        var events = await company.StreamAsync(
            Chat.Path, Chat.Request("in parallel please", ("tools", TwoTools), ("stream", true), ("stream_options", new { include_usage = true })));

        var names = new Dictionary<int, string>();
        var arguments = new Dictionary<int, string>();
        foreach (var choice in events.SkipLast(2).Select(e => e.Json.GetProperty("choices")[0]))
        {
            if (!choice.GetProperty("delta").TryGetProperty("tool_calls", out var deltas)) continue;
            var delta = deltas[0];
            var index = delta.GetProperty("index").GetInt32();
            if (delta.GetProperty("function").TryGetProperty("name", out var name)) names[index] = name.GetString()!;
            arguments[index] = arguments.GetValueOrDefault(index, "") + delta.GetProperty("function").GetProperty("arguments").GetString();
        }

        var calls = whole.GetProperty("choices")[0].GetProperty("message").GetProperty("tool_calls").EnumerateArray().Select(c => c.GetProperty("function")).ToArray();
        Assert.Equal(calls.Select(c => c.GetProperty("name").GetString()!), names.Values);
        Assert.Equal(calls.Select(c => c.GetProperty("arguments").GetString()!), arguments.Values);
        Assert.Equal(whole.Usage("completion_tokens"), events[^2].Json.Usage("completion_tokens"));
        Assert.Equal("tool_calls", events[^3].Json.GetProperty("choices")[0].GetProperty("finish_reason").GetString());
    }

    [Fact]
    public async Task A_tool_result_is_in_the_answer()
    {
        await using var company = await SimulatedCompany.OpenAiAsync();
        object[] messages =
        [
            new { role = "user", content = "weather?" },
            new { role = "assistant", content = (string?)null, tool_calls = new[] { new { id = "c1", type = "function", function = new { name = "get_weather", arguments = "{}" } } } },
            new { role = "tool", tool_call_id = "c1", content = "sunny 21C" },
        ];
        var reply = await company.PostAsync(Chat.Path, Chat.Request("", ("messages", messages), ("tools", TwoTools)));
        Assert.Equal("stop", reply.FinishReason());
        Assert.Contains("sunny 21C", reply.Content(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_forced_tool_must_be_offered()
    {
        await using var company = await SimulatedCompany.OpenAiAsync();
        object Force(string name) => new { type = "function", function = new { name } };
        var reply = await company.PostAsync(Chat.Path, Chat.Request("x", ("tools", TwoTools), ("tool_choice", Force("book_table"))));
        var name = reply.GetProperty("choices")[0].GetProperty("message").GetProperty("tool_calls")[0].GetProperty("function").GetProperty("name");
        Assert.Equal("book_table", name.GetString());
        await company.PostAsync(Chat.Path, Chat.Request("x", ("tools", TwoTools), ("tool_choice", Force("other"))), 400);
    }

    [Fact]
    public async Task A_schema_is_answered_with_an_instance_in_both_deliveries()
    {
        await using var company = await SimulatedCompany.OpenAiAsync();
        var format = new { type = "json_schema", json_schema = new { name = "p", strict = true, schema = JsonSerializer.Deserialize<JsonElement>("""{"type":"object","properties":{"age":{"type":"integer"}},"required":["age"]}""") } };
        var whole = await company.PostAsync(Chat.Path, Chat.Request("x", ("response_format", format)));
        var events = await company.StreamAsync(Chat.Path, Chat.Request("x", ("response_format", format), ("stream", true)));
        Assert.Equal("""{"age":1}""", whole.Content());
        Assert.Equal(whole.Content(), events.StreamedText());
        var free = await company.PostAsync(Chat.Path, Chat.Request("give me JSON", ("response_format", new { type = "json_object" })));
        Assert.Equal(JsonValueKind.Object, JsonSerializer.Deserialize<JsonElement>(free.Content()!).ValueKind);
    }

    [Theory]
    [InlineData("""{"type":"integer","minimum":5,"maximum":7}""", "5")]
    [InlineData("""{"type":"integer","exclusiveMinimum":5}""", "6")]
    [InlineData("""{"type":"integer","maximum":-3}""", "-3")]
    [InlineData("""{"type":"number","minimum":1,"multipleOf":0.25}""", "1")]
    [InlineData("""{"type":"integer","multipleOf":7}""", "7")]
    [InlineData("""{"enum":["x","y"]}""", "\"x\"")]
    [InlineData("""{"const":{"a":[1]}}""", """{"a":[1]}""")]
    [InlineData("""{"type":["null","boolean"]}""", "true")]
    [InlineData("""{"anyOf":[{"type":"boolean"},{"type":"null"}]}""", "true")]
    [InlineData("""{"type":"array","items":{"type":"boolean"},"minItems":3}""", "[true,true,true]")]
    [InlineData("""{"type":"array","items":{"type":"boolean"},"maxItems":0}""", "[]")]
    [InlineData("""{"$ref":"#/$defs/a","$defs":{"a":{"$ref":"#/$defs/b"},"b":{"const":3}}}""", "3")]
    [InlineData("""{"type":"string","format":"date"}""", "\"2025-01-15\"")]
    [InlineData("""{"type":"string","pattern":"^[A-Z]{3}$"}""", "\"ABC\"")]
    [InlineData("""{"type":"string","maxLength":3}""", "\"sam\"")]
    [InlineData("""{"properties":{"city":{"type":"string"}}}""", """{"city":"Paris"}""")]
    public void An_instance_keeps_the_bounds_of_its_schema(string schema, string expected)
        => Assert.Equal(expected, SchemaInstance.Of(JsonSerializer.Deserialize<JsonElement>(schema)));

    [Fact]
    public void A_recursive_schema_ends()
    {
        var tree = JsonSerializer.Deserialize<JsonElement>(
            """{"$ref":"#/$defs/node","$defs":{"node":{"type":"object","properties":{"left":{"anyOf":[{"$ref":"#/$defs/node"},{"type":"null"}]},"all":{"type":"array","items":{"$ref":"#/$defs/node"}}},"required":["left","all"]}}}""");
        Assert.Equal(JsonValueKind.Object, JsonSerializer.Deserialize<JsonElement>(SchemaInstance.Of(tree)).ValueKind);
    }

    [Theory]
    [InlineData("""{"type":"integer","minimum":5}""")]
    [InlineData("""{"type":"integer","maximum":1}""")]
    [InlineData("""{"enum":["x","y"]}""")]
    [InlineData("""{"type":"boolean"}""")]
    [InlineData("""{"type":"string"}""")]
    public void A_wrong_value_fits_the_schema_and_differs(string schema)
    {
        var parsed = JsonSerializer.Deserialize<JsonElement>(schema);
        Assert.NotEqual(SchemaInstance.Of(parsed), SchemaInstance.Of(parsed, salt: 1));
    }
}
