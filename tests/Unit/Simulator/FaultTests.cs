using System.Text.Json;

namespace AiAspire.Unit.Simulation;

public sealed class FaultTests
{
    private const string FiveWords = "say exactly: one two three four five";

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Errors_come_by_share_and_always_the_same_ones()
    {
        var runs = new List<int[]>();
        for (var run = 0; run < 2; run++)
        {
            await using var company = await SimulatedCompany.OpenAiAsync();
            await company.BehaveAsync(new { errorRates = new Dictionary<string, double> { ["429"] = 0.2, ["500"] = 0.2, ["529"] = 0.1 }, seed = 7 });
            var statuses = new int[100];
            for (var i = 0; i < statuses.Length; i++)
            {
                using var response = await company.SendAsync(Chat.Path, Chat.Request("hello"));
                statuses[i] = (int)response.StatusCode;
            }

            runs.Add(statuses);
        }

        Assert.Equal(runs[0], runs[1]);
        Assert.InRange(runs[0].Count(s => s == 429), 8, 35);
        Assert.InRange(runs[0].Count(s => s == 529), 2, 25);
        Assert.InRange(runs[0].Count(s => s == 200), 30, 70);
    }

    [Fact]
    public async Task The_next_requests_fail_with_retry_after_and_are_not_billed()
    {
        await using var company = await SimulatedCompany.OpenAiAsync();
        await company.BehaveAsync(new { errorCount = 2, errorStatus = 429, retryAfterSeconds = 1.5 }, "sim-large");
        for (var i = 0; i < 2; i++)
        {
            using var refused = await company.SendAsync(Chat.Path, Chat.Request("hello", ("stream", true)));
            Assert.Equal(429, (int)refused.StatusCode);
            Assert.Equal("2", refused.Headers.GetValues("Retry-After").Single());
            Assert.Equal("1500", refused.Headers.GetValues("retry-after-ms").Single());
            Assert.Equal("application/json", refused.Content.Headers.ContentType?.MediaType);
        }

        await company.PostAsync(Chat.Path, Chat.Request("hello"));
        var lines = await company.BillAsync(3);
        Assert.Equal([false, false, true], lines.Select(l => l.GetProperty("billed").GetBoolean()));
        Assert.Equal("error_429", lines[0].GetProperty("fault").GetString());
        Assert.Equal(0, lines[0].Tokens("input"));
        var stats = (await company.GetAsync("/control/stats")).GetProperty("sim-large");
        Assert.Equal(2, stats.GetProperty("faults").GetProperty("error_429").GetInt32());
        Assert.Equal(1, stats.GetProperty("completed").GetInt32());
        Assert.Equal(0, stats.GetProperty("active").GetInt32());
    }

    [Theory]
    [InlineData(529, "overloaded_error")]
    [InlineData(500, "api_error")]
    [InlineData(429, "rate_limit_error")]
    public async Task The_other_company_has_its_own_words(int status, string type)
    {
        await using var company = await SimulatedCompany.AnthropicAsync();
        await company.BehaveAsync(new { errorCount = 1, errorStatus = status });
        var error = await company.PostAsync(Chat.MessagesPath, Chat.Message("hello"), status);
        Assert.Equal(type, error.GetProperty("error").GetProperty("type").GetString());
    }

    [Fact]
    public async Task A_cut_ends_cleanly_without_finish_and_bills_what_was_generated()
    {
        await using var company = await SimulatedCompany.OpenAiAsync();
        await company.BehaveAsync(new { cutAfterChunks = 3 });
        var events = await company.StreamAsync(Chat.Path, Chat.Request(FiveWords, ("stream", true)));

        Assert.Equal("one two three", events.StreamedText());
        Assert.DoesNotContain(events, e => e.Data == "[DONE]");
        Assert.All(events, e => Assert.Equal(JsonValueKind.Null, e.Json.GetProperty("choices")[0].GetProperty("finish_reason").ValueKind));
        await AssertBilledAsync(company, "cut", 3, 3);
    }

    [Fact]
    public async Task A_reset_breaks_the_connection_and_bills_what_was_generated()
    {
        await using var company = await SimulatedCompany.OpenAiAsync();
        await company.BehaveAsync(new { resetAfterChunks = 2 });
        await Assert.ThrowsAnyAsync<Exception>(() => company.StreamAsync(Chat.Path, Chat.Request(FiveWords, ("stream", true))));
        await AssertBilledAsync(company, "reset", 2, 2);
    }

    [Fact]
    public async Task A_reset_before_the_first_byte_is_not_billed()
    {
        await using var company = await SimulatedCompany.OpenAiAsync();
        await company.BehaveAsync(new { resetAfterChunks = 0 });
        await Assert.ThrowsAsync<HttpRequestException>(() => company.SendAsync(Chat.Path, Chat.Request(FiveWords)));
        var line = Assert.Single(await company.BillAsync(1));
        Assert.False(line.GetProperty("billed").GetBoolean());
        Assert.Equal("reset", line.GetProperty("fault").GetString());
    }

    [Fact]
    public async Task A_whole_reply_can_be_cut_and_reset_as_well()
    {
        await using var company = await SimulatedCompany.OpenAiAsync();
        await company.BehaveAsync(new { cutAfterChunks = 3 });
        using var response = await company.SendAsync(Chat.Path, Chat.Request(FiveWords));
        var text = await response.Content.ReadAsStringAsync(Cancellation);
        Assert.ThrowsAny<JsonException>(() => JsonSerializer.Deserialize<JsonElement>(text));
        await company.BehaveAsync(new { resetAfterChunks = 3 });
        await Assert.ThrowsAnyAsync<Exception>(() => company.PostAsync(Chat.Path, Chat.Request(FiveWords)));
        Assert.All(await company.BillAsync(2), line => Assert.Equal(3, line.Tokens("output")));
    }

    [Fact]
    public async Task A_malformed_chunk_is_followed_by_good_ones()
    {
        await using var company = await SimulatedCompany.OpenAiAsync();
        await company.BehaveAsync(new { malformedChunkAfter = 2 });
        var events = await company.StreamAsync(Chat.Path, Chat.Request(FiveWords, ("stream", true)));
        var broken = Assert.Single(events, e => e.Data != "[DONE]" && !IsJson(e.Data));
        Assert.Equal("[DONE]", events[^1].Data);
        Assert.Equal("one two three four five", events.Where(e => e != broken).StreamedText());
    }

    [Fact]
    public async Task An_error_event_ends_both_companies_streams()
    {
        await using var openAi = await SimulatedCompany.OpenAiAsync();
        await openAi.BehaveAsync(new { errorEventAfterChunks = 2 });
        var chunks = await openAi.StreamAsync(Chat.Path, Chat.Request(FiveWords, ("stream", true)));
        Assert.Equal("server_error", chunks[^1].Json.GetProperty("error").GetProperty("type").GetString());
        await AssertBilledAsync(openAi, "error_event", 2, 2);

        await using var anthropic = await SimulatedCompany.AnthropicAsync();
        await anthropic.BehaveAsync(new { errorEventAfterChunks = 2 });
        var events = await anthropic.StreamAsync(Chat.MessagesPath, Chat.Message(FiveWords, ("stream", true)));
        Assert.Equal("error", events[^1].Name);
        Assert.Equal("overloaded_error", events[^1].Json.GetProperty("error").GetProperty("type").GetString());
    }

    [Fact]
    public async Task A_malformed_body_is_whole_HTTP_and_no_JSON()
    {
        await using var company = await SimulatedCompany.OpenAiAsync();
        await company.BehaveAsync(new { malformedJson = true });
        using var response = await company.SendAsync(Chat.Path, Chat.Request("hello"));
        Assert.Equal(200, (int)response.StatusCode);
        Assert.False(IsJson(await response.Content.ReadAsStringAsync(Cancellation)));
    }

    [Fact]
    public async Task Faults_can_be_limited_to_the_next_requests()
    {
        await using var company = await SimulatedCompany.OpenAiAsync();
        await company.BehaveAsync(new { cutAfterChunks = 1, faultCount = 1 });
        Assert.DoesNotContain(await company.StreamAsync(Chat.Path, Chat.Request(FiveWords, ("stream", true))), e => e.Data == "[DONE]");
        Assert.Contains(await company.StreamAsync(Chat.Path, Chat.Request(FiveWords, ("stream", true))), e => e.Data == "[DONE]");
    }

    [Theory]
    [InlineData(0, false, 0)]
    [InlineData(2, true, 2)]
    public async Task A_hang_lasts_until_the_client_leaves(int chunks, bool billed, int output)
    {
        await using var company = await SimulatedCompany.OpenAiAsync();
        await company.BehaveAsync(new { hangAfterChunks = chunks });
        using var leave = CancellationTokenSource.CreateLinkedTokenSource(Cancellation);
        using var request = new HttpRequestMessage(HttpMethod.Post, Chat.Path)
        {
            Content = new StringContent(JsonSerializer.Serialize(Chat.Request(FiveWords, ("stream", true)))),
        };
        var sent = company.Client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, leave.Token);
        if (chunks == 0)
        {
            while ((await company.GetAsync("/control/stats")).TryGetProperty("sim-large", out var stats) is false || stats.GetProperty("active").GetInt32() == 0) await Task.Yield();
            Assert.False(sent.IsCompleted);
            await leave.CancelAsync();
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => sent);
        }
        else
        {
            using var response = await sent;
            using var reader = new StreamReader(await response.Content.ReadAsStreamAsync(Cancellation));
            for (var seen = 0; seen < chunks + 1;)
                if ((await reader.ReadLineAsync(Cancellation))!.StartsWith("data: ", StringComparison.Ordinal))
                    seen++;
        }

        var line = Assert.Single(await company.BillAsync(1));
        Assert.Equal("aborted", line.GetProperty("status").GetString());
        Assert.Equal("hang", line.GetProperty("fault").GetString());
        Assert.Equal(billed, line.GetProperty("billed").GetBoolean());
        Assert.Equal(output, line.Tokens("output"));
    }

    [Fact]
    public async Task Missing_and_wrong_usage_leave_the_bill_true()
    {
        await using var company = await SimulatedCompany.OpenAiAsync();
        var honest = await company.PostAsync(Chat.Path, Chat.Request(FiveWords));
        await company.BehaveAsync(new { missingUsage = true });
        var silent = await company.PostAsync(Chat.Path, Chat.Request(FiveWords));
        var events = await company.StreamAsync(Chat.Path, Chat.Request(FiveWords, ("stream", true), ("stream_options", new { include_usage = true })));
        await company.BehaveAsync(new { usageFactor = 2, usageOffset = 1 });
        var wrong = await company.PostAsync(Chat.Path, Chat.Request(FiveWords));

        Assert.False(silent.TryGetProperty("usage", out _));
        Assert.All(events.SkipLast(1), e => Assert.NotEqual(0, e.Json.GetProperty("choices").GetArrayLength()));
        Assert.Equal((2 * honest.Usage("prompt_tokens")) + 1, wrong.Usage("prompt_tokens"));
        Assert.Equal((2 * honest.Usage("completion_tokens")) + 1, wrong.Usage("completion_tokens"));
        var lines = await company.BillAsync(4);
        Assert.All(lines, line => Assert.Equal(honest.Usage("completion_tokens"), line.Tokens("output")));
        Assert.All(lines, line => Assert.Equal(honest.Usage("prompt_tokens"), line.Tokens("input")));
    }

    [Fact]
    public async Task A_drifting_model_is_wrong_for_its_share_of_prompts_and_always_the_same()
    {
        await using var company = await SimulatedCompany.OpenAiAsync();
        var wrong = new List<int>();
        for (var i = 0; i < 100; i++)
        {
            // Shipped configuration: the small model drifts, the large one does not.
            var small = await company.PostAsync(Chat.Path, Chat.Request($"question {i}", ("model", "sim-small")));
            var again = await company.PostAsync(Chat.Path, Chat.Request($"question {i}", ("model", "sim-small")));
            var large = await company.PostAsync(Chat.Path, Chat.Request($"question {i}"));
            Assert.Equal(small.Content(), again.Content());
            Assert.Contains($"question {i}", large.Content(), StringComparison.Ordinal);
            if (small.Content() != large.Content()) wrong.Add(i);
        }

        Assert.InRange(wrong.Count, 15, 45);
        await company.BehaveAsync(new { qualityDrift = 1 }, "sim-large");
        Assert.DoesNotContain("question", (await company.PostAsync(Chat.Path, Chat.Request("question 1"))).Content(), StringComparison.Ordinal);
        var schema = new { type = "json_schema", json_schema = new { name = "p", schema = new { type = "object", properties = new { kind = new { @enum = new[] { "x", "y" } } } } } };
        Assert.Equal("""{"kind":"y"}""", (await company.PostAsync(Chat.Path, Chat.Request("q", ("response_format", schema)))).Content());
    }

    [Fact]
    public async Task Latency_and_pace_are_waited_for()
    {
        await using var company = await SimulatedCompany.OpenAiAsync();
        await company.BehaveAsync(new { latency = new { kind = "fixed", ms = 60 }, timeToFirstTokenMs = 40, tokensPerSecond = 100 });
        foreach (var stream in (bool[])[false, true])
        {
            var started = TimeProvider.System.GetTimestamp();
            using var response = await company.SendAsync(Chat.Path, Chat.Request(FiveWords, ("stream", stream)));
            await response.Content.ReadAsStringAsync(Cancellation);
            // 60 + 40 + 4 more tokens at 10 ms; only the lower bound is certain.
            Assert.True(TimeProvider.System.GetElapsedTime(started).TotalMilliseconds >= 138);
        }
    }

    private static async Task AssertBilledAsync(SimulatedCompany company, string fault, int output, int delivered)
    {
        var line = Assert.Single(await company.BillAsync(1));
        Assert.Equal("faulted", line.GetProperty("status").GetString());
        Assert.Equal(fault, line.GetProperty("fault").GetString());
        Assert.True(line.GetProperty("billed").GetBoolean());
        Assert.True(line.Tokens("input") > 0);
        Assert.Equal(output, line.Tokens("output"));
        Assert.Equal(delivered, line.GetProperty("deliveredChunks").GetInt32());
    }

    private static bool IsJson(string text)
    {
        try
        {
            JsonSerializer.Deserialize<JsonElement>(text);
            return true;
        }
        catch (JsonException)
        {
            return false;
        }
    }
}
