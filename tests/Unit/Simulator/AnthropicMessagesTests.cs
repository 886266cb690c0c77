using System.Text.Json;

namespace AiAspire.Unit.Simulation;

public sealed class AnthropicMessagesTests(SharedCompanies companies) : IClassFixture<SharedCompanies>
{
    private static readonly object[] Tools = [Chat.AnthropicTool("get_weather"), Chat.AnthropicTool("book_table")];

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_message_has_every_field_of_the_wire()
    {
        var company = companies.Anthropic;
        using var response = await company.SendAsync(Chat.MessagesPath, Chat.Message("say exactly: hi there"));
        var body = JsonSerializer.Deserialize<JsonElement>(await response.Content.ReadAsStringAsync(Cancellation));

        Assert.StartsWith("msg_sim", body.GetProperty("id").GetString(), StringComparison.Ordinal);
        Assert.Equal("message", body.GetProperty("type").GetString());
        Assert.Equal("assistant", body.GetProperty("role").GetString());
        Assert.Equal("""[{"type":"text","text":"hi there","citations":null}]""", body.GetProperty("content").GetRawText());
        Assert.Equal("end_turn", body.GetProperty("stop_reason").GetString());
        Assert.Equal(JsonValueKind.Null, body.GetProperty("stop_sequence").ValueKind);
        Assert.Equal(2, body.Usage("output_tokens"));
        Assert.StartsWith("req_", response.Headers.GetValues("request-id").Single(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_stream_has_the_events_in_order_and_the_usage_of_the_whole_message()
    {
        var company = companies.Anthropic;
        var whole = await company.PostAsync(Chat.MessagesPath, Chat.Message("say exactly: one two three"));
        var events = await company.StreamAsync(Chat.MessagesPath, Chat.Message("say exactly: one two three", ("stream", true)));

        Assert.Equal(
            ["message_start", "content_block_start", "ping", "content_block_delta", "content_block_delta", "content_block_delta", "content_block_stop", "message_delta", "message_stop"],
            events.Select(e => e.Name));
        Assert.All(events, e => Assert.Equal(e.Name, e.Json.GetProperty("type").GetString()));
        Assert.Equal("one two three", string.Concat(events.Where(e => e.Name == "content_block_delta").Select(e => e.Json.GetProperty("delta").GetProperty("text").GetString())));
        var delta = events[^2].Json;
        Assert.Equal("end_turn", delta.GetProperty("delta").GetProperty("stop_reason").GetString());
        Assert.Equal(whole.Usage("output_tokens"), delta.Usage("output_tokens"));
        Assert.Equal(whole.Usage("input_tokens"), events[0].Json.GetProperty("message").Usage("input_tokens"));
    }

    [Fact]
    public async Task Tool_use_is_whole_JSON_and_streams_as_partial_JSON()
    {
        var company = companies.Anthropic;
        var whole = await company.PostAsync(Chat.MessagesPath, Chat.Message("both in parallel", ("tools", Tools)));
        var events = await company.StreamAsync(Chat.MessagesPath, Chat.Message("both in parallel", ("tools", Tools), ("stream", true)));

        Assert.Equal("tool_use", whole.GetProperty("stop_reason").GetString());
        var blocks = whole.GetProperty("content").EnumerateArray().ToArray();
        Assert.Equal(["get_weather", "book_table"], blocks.Select(b => b.GetProperty("name").GetString()));
        for (var index = 0; index < blocks.Length; index++)
        {
            var json = string.Concat(events
                .Where(e => e.Name == "content_block_delta" && e.Json.GetProperty("index").GetInt32() == index)
                .Select(e => e.Json.GetProperty("delta").GetProperty("partial_json").GetString()));
            Assert.Equal(blocks[index].GetProperty("input").GetRawText(), json);
        }

        Assert.Equal(whole.Usage("output_tokens"), events[^2].Json.Usage("output_tokens"));
    }

    [Theory]
    [InlineData("""{"type":"any"}""", "tool_use")]
    [InlineData("""{"type":"tool","name":"book_table"}""", "tool_use")]
    [InlineData("""{"type":"auto"}""", "end_turn")]
    [InlineData("""{"type":"none"}""", "end_turn")]
    public async Task Tool_choice_decides(string choice, string stopReason)
    {
        var company = companies.Anthropic;
        var reply = await company.PostAsync(
            Chat.MessagesPath, Chat.Message("x", ("tools", Tools), ("tool_choice", JsonSerializer.Deserialize<JsonElement>(choice))));
        Assert.Equal(stopReason, reply.GetProperty("stop_reason").GetString());
    }

    [Fact]
    public async Task A_tool_result_is_in_the_answer()
    {
        var company = companies.Anthropic;
        object[] messages =
        [
            new { role = "user", content = "weather?" },
            new { role = "assistant", content = new object[] { new { type = "tool_use", id = "t1", name = "get_weather", input = new { } } } },
            new { role = "user", content = new object[] { new { type = "tool_result", tool_use_id = "t1", content = new[] { new { type = "text", text = "sunny 21C" } } } } },
        ];
        var reply = await company.PostAsync(Chat.MessagesPath, Chat.Message("", ("messages", messages), ("tools", Tools)));
        Assert.Contains("sunny 21C", reply.GetProperty("content")[0].GetProperty("text").GetString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Results_of_parallel_calls_are_one_turn_even_when_they_come_one_by_one()
    {
        var company = companies.Anthropic;
        object[] messages =
        [
            new { role = "user", content = "weather and time?" },
            new { role = "assistant", content = new object[] { Use("t1"), Use("t2") } },
            new { role = "user", content = new object[] { Result("t1", "sunny") } },
            new { role = "user", content = new object[] { Result("t2", "noon") } },
        ];
        var reply = await company.PostAsync(Chat.MessagesPath, Chat.Message("", ("messages", messages), ("tools", Tools)));
        Assert.Contains("sunny\nnoon", reply.GetProperty("content")[0].GetProperty("text").GetString(), StringComparison.Ordinal);

        static object Use(string id) => new { type = "tool_use", id, name = "get_weather", input = new { } };
        static object Result(string id, string content) => new { type = "tool_result", tool_use_id = id, content };
    }

    [Fact]
    public async Task Limits_and_stop_sequences_are_named()
    {
        var company = companies.Anthropic;
        var cut = await company.PostAsync(Chat.MessagesPath, Chat.Message("say exactly: one two three", ("max_tokens", 2)));
        Assert.Equal("max_tokens", cut.GetProperty("stop_reason").GetString());
        Assert.Equal(2, cut.Usage("output_tokens"));
        var stopped = await company.PostAsync(Chat.MessagesPath, Chat.Message("say exactly: one two three", ("stop_sequences", new[] { " three" })));
        Assert.Equal("stop_sequence", stopped.GetProperty("stop_reason").GetString());
        Assert.Equal(" three", stopped.GetProperty("stop_sequence").GetString());
        Assert.Equal("one two", stopped.GetProperty("content")[0].GetProperty("text").GetString());
    }

    [Fact]
    public async Task A_limit_of_zero_generates_nothing()
    {
        var company = companies.Anthropic;
        var reply = await company.PostAsync(Chat.MessagesPath, Chat.Message("warm the cache", ("max_tokens", 0)));
        Assert.Equal("max_tokens", reply.GetProperty("stop_reason").GetString());
        Assert.Equal((0, 0), (reply.GetProperty("content").GetArrayLength(), reply.Usage("output_tokens")));
    }

    [Fact]
    public async Task A_marked_prefix_is_written_to_the_cache_once_and_read_afterwards()
    {
        await using var company = await SimulatedCompany.AnthropicAsync();
        object[] system = [new { type = "text", text = string.Concat(Enumerable.Repeat("The rules are long. ", 400)), cache_control = new { type = "ephemeral" } }];
        var first = await company.PostAsync(Chat.MessagesPath, Chat.Message("one", ("system", system)));
        var second = await company.PostAsync(Chat.MessagesPath, Chat.Message("two", ("system", system)));
        var unmarked = await company.PostAsync(Chat.MessagesPath, Chat.Message("two"));

        Assert.True(first.Usage("cache_creation_input_tokens") >= 1024);
        Assert.Equal(0, first.Usage("cache_read_input_tokens"));
        Assert.Equal(first.Usage("cache_creation_input_tokens"), second.Usage("cache_read_input_tokens"));
        Assert.Equal(0, second.Usage("cache_creation_input_tokens"));
        Assert.Equal(0, unmarked.Usage("cache_read_input_tokens") + unmarked.Usage("cache_creation_input_tokens"));
        var lines = await company.BillAsync(3);
        Assert.Equal(first.Usage("cache_creation_input_tokens"), lines[0].Tokens("cacheWrite"));
        Assert.Equal(second.Usage("cache_read_input_tokens"), lines[1].Tokens("cachedInput"));
        Assert.Equal(second.Usage("input_tokens"), lines[1].Tokens("input"));
    }

    [Fact]
    public async Task Counted_tokens_are_the_ones_that_a_message_costs()
    {
        await using var company = await SimulatedCompany.AnthropicAsync();
        var request = Chat.Message("how many tokens are these?", ("system", "Be brief."), ("tools", Tools));
        var message = await company.PostAsync(Chat.MessagesPath, request);
        request.Remove("max_tokens");
        var count = await company.PostAsync(Chat.MessagesPath + "/count_tokens", request);
        Assert.Equal(message.Usage("input_tokens"), count.GetProperty("input_tokens").GetInt32());
        Assert.Single(await company.BillAsync(1));
    }

    [Theory]
    [InlineData("""{"model":"sim-anthropic-large","messages":[{"role":"user","content":"x"}]}""", 400, "invalid_request_error", "max_tokens: Field required")]
    [InlineData("""{"model":"sim-anthropic-large","max_tokens":-1,"messages":[{"role":"user","content":"x"}]}""", 400, "invalid_request_error", "max_tokens: ")]
    [InlineData("""{"model":"sim-anthropic-large","max_tokens":5}""", 400, "invalid_request_error", "messages: Field required")]
    [InlineData("""{"model":"sim-anthropic-large","max_tokens":5,"messages":[]}""", 400, "invalid_request_error", "messages: at least one message")]
    [InlineData("""{"model":"sim-anthropic-large","max_tokens":5,"messages":[{"role":"tool","content":"x"}]}""", 400, "invalid_request_error", "messages.0.role: ")]
    [InlineData("""{"model":"sim-large","max_tokens":5,"messages":[{"role":"user","content":"x"}]}""", 404, "not_found_error", "model: sim-large")]
    [InlineData("{", 400, "invalid_request_error", "")]
    public async Task A_bad_request_is_refused_in_the_companys_shape(string body, int status, string type, string message)
    {
        var company = companies.Anthropic;
        var error = await company.PostAsync(Chat.MessagesPath, new StringContent(body), status);
        Assert.Equal("error", error.GetProperty("type").GetString());
        Assert.Equal(type, error.GetProperty("error").GetProperty("type").GetString());
        Assert.StartsWith(message, error.GetProperty("error").GetProperty("message").GetString(), StringComparison.Ordinal);
        Assert.StartsWith("req_", error.GetProperty("request_id").GetString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Key_and_version_are_required_and_the_other_wire_is_not_spoken()
    {
        await using var company = await SimulatedCompany.AnthropicAsync();
        await company.PostAsync(Chat.Path, Chat.Request("x"), 404);
        company.Client.DefaultRequestHeaders.Remove("anthropic-version");
        var noVersion = await company.PostAsync(Chat.MessagesPath, Chat.Message("x"), 400);
        Assert.Contains("anthropic-version", noVersion.GetProperty("error").GetProperty("message").GetString(), StringComparison.Ordinal);
        company.Client.DefaultRequestHeaders.Remove("x-api-key");
        var noKey = await company.PostAsync(Chat.MessagesPath, Chat.Message("x"), 401);
        Assert.Equal("authentication_error", noKey.GetProperty("error").GetProperty("type").GetString());
        await company.PostAsync(Chat.MessagesPath, Chat.Message("x"), 401, ("x-api-key", "sim-invalid"));
        await company.PostAsync(Chat.MessagesPath, Chat.Message("x"), 401, ("Authorization", "Bearer sim-invalid"));
        await company.PostAsync(Chat.MessagesPath, Chat.Message("x"), 200, ("Authorization", "Bearer sk-good-0123"), ("anthropic-version", "2026-10-21"));
        await company.PostAsync("/v1/chat/completions", Chat.Request("x"), 404);
    }

    [Fact]
    public async Task Models_are_listed()
    {
        var company = companies.Anthropic;
        var list = await company.GetAsync("/v1/models");
        Assert.Equal(["sim-anthropic-small", "sim-anthropic-large"], list.GetProperty("data").EnumerateArray().Select(m => m.GetProperty("id").GetString()));
        Assert.False(list.GetProperty("has_more").GetBoolean());
        Assert.Equal("model", (await company.GetAsync("/v1/models/sim-anthropic-small")).GetProperty("type").GetString());
    }
}
