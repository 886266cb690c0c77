using System.Text.Json;

namespace AiAspire.Unit.Simulation;

public sealed class OpenAiChatTests
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_completion_has_every_field_of_the_wire()
    {
        await using var company = await SimulatedCompany.OpenAiAsync();
        using var response = await company.SendAsync(Chat.Path, Chat.Request("hello"));
        var body = JsonSerializer.Deserialize<JsonElement>(await response.Content.ReadAsStringAsync(Cancellation));

        Assert.StartsWith("chatcmpl-sim", body.GetProperty("id").GetString(), StringComparison.Ordinal);
        Assert.Equal("chat.completion", body.GetProperty("object").GetString());
        Assert.Equal("sim-large", body.GetProperty("model").GetString());
        Assert.Equal("fp_sim", body.GetProperty("system_fingerprint").GetString());
        Assert.Equal("stop", body.FinishReason());
        Assert.Equal(JsonValueKind.Null, body.GetProperty("choices")[0].GetProperty("logprobs").ValueKind);
        Assert.Equal(body.Usage("total_tokens"), body.Usage("prompt_tokens") + body.Usage("completion_tokens"));
        Assert.StartsWith("req_", response.Headers.GetValues("x-request-id").Single(), StringComparison.Ordinal);
        Assert.True(response.Headers.Contains("openai-processing-ms"));
    }

    [Theory]
    [InlineData("tell me something about rivers")]
    [InlineData("say exactly: Zażółć 🦊👩‍👩‍👧 漢字 עברית \"quotes\" \\back\\")]
    [InlineData("what is 2 + 2")]
    public async Task A_stream_says_and_costs_the_same_as_a_whole_reply(string text)
    {
        await using var company = await SimulatedCompany.OpenAiAsync();
        var whole = await company.PostAsync(Chat.Path, Chat.Request(text));
        var events = await company.StreamAsync(Chat.Path, Chat.Request(text, ("stream", true), ("stream_options", new { include_usage = true })));

        Assert.Equal("[DONE]", events[^1].Data);
        Assert.Equal(whole.Content(), events.StreamedText());
        var usage = events[^2].Json;
        Assert.Equal(0, usage.GetProperty("choices").GetArrayLength());
        Assert.Equal(whole.GetProperty("usage").GetRawText(), usage.GetProperty("usage").GetRawText());
        foreach (var other in events.SkipLast(2)) Assert.Equal(JsonValueKind.Null, other.Json.GetProperty("usage").ValueKind);
    }

    [Fact]
    public async Task A_stream_without_include_usage_knows_no_usage()
    {
        await using var company = await SimulatedCompany.OpenAiAsync();
        var events = await company.StreamAsync(Chat.Path, Chat.Request("hello", ("stream", true)));

        Assert.All(events.SkipLast(1), e => Assert.False(e.Json.TryGetProperty("usage", out _)));
        Assert.Equal("assistant", events[0].Json.GetProperty("choices")[0].GetProperty("delta").GetProperty("role").GetString());
        Assert.Equal("stop", events[^2].Json.GetProperty("choices")[0].GetProperty("finish_reason").GetString());
    }

    [Fact]
    public async Task The_same_prompt_gets_the_same_reply_in_another_process_life()
    {
        await using var first = await SimulatedCompany.OpenAiAsync();
        await using var second = await SimulatedCompany.OpenAiAsync();
        foreach (var text in (string[])["hello", "why is the sky blue", "a text of my own"])
        {
            var one = await first.PostAsync(Chat.Path, Chat.Request(text, ("model", "sim-small")));
            var other = await second.PostAsync(Chat.Path, Chat.Request(text, ("model", "sim-small")));
            Assert.Equal(one.Content(), other.Content());
        }
    }

    [Fact]
    public async Task The_token_limit_ends_with_length_and_is_never_passed()
    {
        await using var company = await SimulatedCompany.OpenAiAsync();
        foreach (var limit in Enumerable.Range(1, 8))
        {
            var reply = await company.PostAsync(Chat.Path, Chat.Request("say exactly: 🦊 one two three four five six seven eight nine", ("max_completion_tokens", limit)));
            Assert.Equal("length", reply.FinishReason());
            Assert.InRange(reply.Usage("completion_tokens"), 0, limit);
        }
    }

    [Fact]
    public async Task A_stop_sequence_ends_the_reply_before_it()
    {
        await using var company = await SimulatedCompany.OpenAiAsync();
        var reply = await company.PostAsync(Chat.Path, Chat.Request("say exactly: alpha beta gamma", ("stop", new[] { "gamma", " beta" })));
        Assert.Equal("alpha", reply.Content());
        Assert.Equal("stop", reply.FinishReason());
    }

    [Fact]
    public async Task Several_choices_are_streamed_side_by_side_and_all_paid_for()
    {
        await using var company = await SimulatedCompany.OpenAiAsync();
        var single = await company.PostAsync(Chat.Path, Chat.Request("say exactly: a b c"));
        var whole = await company.PostAsync(Chat.Path, Chat.Request("say exactly: a b c", ("n", 3)));
        var events = await company.StreamAsync(Chat.Path, Chat.Request("say exactly: a b c", ("n", 3), ("stream", true)));

        Assert.Equal([0, 1, 2], whole.GetProperty("choices").EnumerateArray().Select(c => c.GetProperty("index").GetInt32()));
        Assert.Equal(3 * single.Usage("completion_tokens"), whole.Usage("completion_tokens"));
        for (var choice = 0; choice < 3; choice++) Assert.Equal("a b c", events.StreamedText(choice));
    }

    [Fact]
    public async Task Log_probabilities_cover_every_token_in_both_deliveries()
    {
        await using var company = await SimulatedCompany.OpenAiAsync();
        (string, object?)[] fields = [("logprobs", true), ("top_logprobs", 3)];
        var whole = await company.PostAsync(Chat.Path, Chat.Request("say exactly: one two three", fields));
        var events = await company.StreamAsync(Chat.Path, Chat.Request("say exactly: one two three", [.. fields, ("stream", true)]));

        var tokens = whole.GetProperty("choices")[0].GetProperty("logprobs").GetProperty("content").EnumerateArray().ToArray();
        Assert.Equal("one two three", string.Concat(tokens.Select(t => t.GetProperty("token").GetString())));
        Assert.All(tokens, t => Assert.Equal(3, t.GetProperty("top_logprobs").GetArrayLength()));
        var streamed = events.SkipLast(1).Select(e => e.Json.GetProperty("choices")[0].GetProperty("logprobs"))
            .Where(l => l.ValueKind == JsonValueKind.Object).SelectMany(l => l.GetProperty("content").EnumerateArray());
        Assert.Equal(tokens.Select(t => t.GetRawText()), streamed.Select(t => t.GetRawText()));
    }

    [Fact]
    public async Task Reasoning_tokens_are_part_of_the_output()
    {
        await using var company = await SimulatedCompany.OpenAiAsync();
        async Task<(int Output, int Reasoning)> AskAsync(string effort, int? limit = null)
        {
            var reply = await company.PostAsync(Chat.Path, Chat.Request(
                "hello", ("model", "sim-reasoning"), ("reasoning_effort", effort), ("max_completion_tokens", limit)));
            return (reply.Usage("completion_tokens"),
                reply.GetProperty("usage").GetProperty("completion_tokens_details").GetProperty("reasoning_tokens").GetInt32());
        }

        var low = await AskAsync("low");
        var high = await AskAsync("high");
        Assert.True(high.Reasoning > low.Reasoning && low.Reasoning > 0);
        Assert.Equal(low.Output - low.Reasoning, high.Output - high.Reasoning);
        Assert.Equal((20, 20), await AskAsync("high", limit: 20));
    }

    [Fact]
    public async Task A_long_prefix_is_cached_per_key_and_model()
    {
        await using var company = await SimulatedCompany.OpenAiAsync();
        var system = string.Concat(Enumerable.Repeat("The rules of this house are long. ", 200));
        async Task<int> CachedAsync(string question, string key = SimulatedCompany.Key, string model = "sim-large")
        {
            object[] messages = [new { role = "system", content = system }, new { role = "user", content = question }];
            var reply = await company.PostAsync(Chat.Path, new { model, messages }, 200, ("Authorization", $"Bearer {key}"));
            var cached = reply.GetProperty("usage").GetProperty("prompt_tokens_details").GetProperty("cached_tokens").GetInt32();
            Assert.InRange(cached, 0, reply.Usage("prompt_tokens"));
            return cached;
        }

        Assert.Equal(0, await CachedAsync("one"));
        var second = await CachedAsync("another question");
        Assert.True(second >= 1024 && second % 128 == 0, $"{second}");
        Assert.Equal(0, await CachedAsync("one", key: "sk-somebody-else"));
        Assert.Equal(0, await CachedAsync("one", model: "sim-small"));
    }

    [Fact]
    public async Task An_image_counts_85_tokens()
    {
        await using var company = await SimulatedCompany.OpenAiAsync();
        async Task<int> PromptTokensAsync(params object[] parts)
            => (await company.PostAsync(Chat.Path, new { model = "sim-large", messages = new[] { new { role = "user", content = parts } } })).Usage("prompt_tokens");

        var text = new { type = "text", text = "what is this" };
        var image = new { type = "image_url", image_url = new { url = "data:image/png;base64,AAAA" } };
        Assert.Equal(await PromptTokensAsync(text) + 170, await PromptTokensAsync(text, image, image));
    }

    public static TheoryData<string, int, string?, string?> BadRequests => new()
    {
        { """{"model":"sim-large"}""", 400, "messages", "missing_required_parameter" },
        { """{"model":"sim-large","messages":[]}""", 400, "messages", "empty_array" },
        { """{"messages":[{"role":"user","content":"x"}]}""", 400, "model", "missing_required_parameter" },
        { """{"model":"no-such","messages":[{"role":"user","content":"x"}]}""", 404, null, "model_not_found" },
        { """{"model":"sim-large","messages":[{"role":"king","content":"x"}]}""", 400, "messages[0]", "invalid_value" },
        { """{"model":"sim-large","messages":[{"role":"user","content":7}]}""", 400, "messages[0].content", "invalid_value" },
        { """{"model":"sim-large","messages":[{"role":"user","content":"\ud800"}]}""", 400, "messages[0].content", "invalid_value" },
        { """{"model":"sim-large","temperature":9,"messages":[{"role":"user","content":"x"}]}""", 400, "temperature", "invalid_value" },
        { """{"model":"sim-large","max_tokens":0,"messages":[{"role":"user","content":"x"}]}""", 400, "max_tokens", "invalid_value" },
        { """{"model":"sim-large","n":0,"messages":[{"role":"user","content":"x"}]}""", 400, "n", "invalid_value" },
        { """{"model":"sim-large","stream":"yes","messages":[{"role":"user","content":"x"}]}""", 400, "stream", "invalid_value" },
        { """{"model":"sim-large","stream_options":{},"messages":[{"role":"user","content":"x"}]}""", 400, "stream_options", "invalid_value" },
        { """{"model":"sim-large","tool_choice":"required","messages":[{"role":"user","content":"x"}]}""", 400, "tool_choice", "invalid_value" },
        { """{"model":"sim-large","tools":[7],"messages":[{"role":"user","content":"x"}]}""", 400, "tools[0]", "invalid_value" },
        { """{"model":"sim-large","response_format":{"type":"xml"},"messages":[{"role":"user","content":"x"}]}""", 400, "response_format", "invalid_value" },
        { """{"model":"sim-large","messages":[""", 400, null, null },
        { "[]", 400, null, null },
        { "", 400, null, null },
    };

    [Theory]
    [MemberData(nameof(BadRequests))]
    public async Task A_bad_request_is_refused_in_the_companys_shape_and_not_billed(string body, int status, string? param, string? code)
    {
        await using var company = await SimulatedCompany.OpenAiAsync();
        var error = (await company.PostAsync(Chat.Path, new StringContent(body), status)).GetProperty("error");

        Assert.Equal(["message", "type", "param", "code"], error.EnumerateObject().Select(p => p.Name));
        Assert.Equal(param, error.GetProperty("param").GetString());
        Assert.Equal(code, error.GetProperty("code").GetString());
        var line = Assert.Single(await company.BillAsync(1));
        Assert.False(line.GetProperty("billed").GetBoolean());
        Assert.Equal(status, line.GetProperty("httpStatus").GetInt32());
    }

    [Theory]
    [InlineData("Bearer sim-invalid")]
    [InlineData("Bearer ")]
    [InlineData("Basic abc")]
    public async Task A_refused_key_is_401(string authorization)
    {
        await using var company = await SimulatedCompany.OpenAiAsync();
        company.Client.DefaultRequestHeaders.Remove("Authorization");
        var error = await company.PostAsync(Chat.Path, Chat.Request("hello"), 401, ("Authorization", authorization));
        Assert.Equal("invalid_request_error", error.GetProperty("error").GetProperty("type").GetString());
    }

    [Fact]
    public async Task The_other_companys_wire_is_not_spoken()
    {
        await using var company = await SimulatedCompany.OpenAiAsync();
        var error = await company.PostAsync(Chat.MessagesPath, Chat.Message("hello"), 404);
        Assert.Contains("Invalid URL", error.GetProperty("error").GetProperty("message").GetString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_body_over_the_limit_is_413()
    {
        await using var company = await SimulatedCompany.OpenAiAsync("--Simulator:MaxBodyBytes=1000");
        var error = await company.PostAsync(Chat.Path, Chat.Request(new string('a', 2000)), 413);
        Assert.Equal("request_too_large", error.GetProperty("error").GetProperty("code").GetString());
    }

    [Fact]
    public async Task Models_are_listed_and_found()
    {
        await using var company = await SimulatedCompany.OpenAiAsync();
        var ids = (await company.GetAsync("/v1/models")).GetProperty("data").EnumerateArray().Select(m => m.GetProperty("id").GetString());
        Assert.Equal(["sim-small", "sim-large", "sim-reasoning", "sim-embedding", "sim-moderation"], ids);
        Assert.Equal("model", (await company.GetAsync("/v1/models/sim-large")).GetProperty("object").GetString());
        using var missing = await company.Client.GetAsync("/v1/models/no-such", Cancellation);
        Assert.Equal(404, (int)missing.StatusCode);
    }
}
