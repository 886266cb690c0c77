using System.Text.Json;

namespace AiAspire.Unit.Simulation;

public sealed class BillTests
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Every_reply_is_billed_with_the_usage_that_it_reported()
    {
        await using var company = await SimulatedCompany.OpenAiAsync();
        var output = 0;
        var input = 0;
        for (var i = 0; i < 20; i++)
        {
            var reply = await company.PostAsync(
                Chat.Path, Chat.Request($"message number {i}", ("model", i % 2 == 0 ? "sim-large" : "sim-reasoning")), 200, ("X-Client-Request-Id", $"call-{i}"));
            // The line is there as soon as the answer is: no waiting.
            var bill = await company.GetAsync($"/control/bill?client_request_id=call-{i}");
            var line = Assert.Single(bill.GetProperty("lines").EnumerateArray());
            Assert.Equal(reply.GetProperty("id").GetString(), line.GetProperty("responseId").GetString());
            Assert.Equal(reply.Usage("prompt_tokens"), line.Tokens("input"));
            Assert.Equal(reply.Usage("completion_tokens"), line.Tokens("output"));
            Assert.Equal(i % 2 == 0 ? 0 : 128, line.Tokens("reasoning"));
            Assert.Equal("completed", line.GetProperty("status").GetString());
            input += reply.Usage("prompt_tokens");
            output += reply.Usage("completion_tokens");
        }

        var totals = (await company.GetAsync("/control/bill?limit=1")).GetProperty("totals").EnumerateObject().Select(t => t.Value).ToArray();
        Assert.Equal(input, totals.Sum(t => t.GetProperty("input").GetInt32()));
        Assert.Equal(output, totals.Sum(t => t.GetProperty("output").GetInt32()));
        Assert.Equal(20, totals.Sum(t => t.GetProperty("billed").GetInt32()));
    }

    [Fact]
    public async Task A_stream_that_the_client_leaves_is_billed_until_then()
    {
        await using var company = await SimulatedCompany.OpenAiAsync();
        await company.BehaveAsync(new { tokensPerSecond = 50 });
        var words = string.Join(' ', Enumerable.Repeat("word", 2000));
        using (var response = await company.SendAsync(Chat.Path, Chat.Request($"say exactly: {words}", ("stream", true))))
        {
            using var reader = new StreamReader(await response.Content.ReadAsStreamAsync(Cancellation));
            for (var seen = 0; seen < 6;)
                if ((await reader.ReadLineAsync(Cancellation))!.StartsWith("data: ", StringComparison.Ordinal))
                    seen++;
        }

        var line = Assert.Single(await company.BillAsync(1));
        Assert.Equal("aborted", line.GetProperty("status").GetString());
        Assert.True(line.GetProperty("billed").GetBoolean());
        Assert.InRange(line.Tokens("output"), 5, 1000);
        Assert.InRange(line.GetProperty("deliveredChunks").GetInt32(), 5, line.Tokens("output"));
        Assert.Equal(1, (await company.GetAsync("/control/stats")).GetProperty("sim-large").GetProperty("aborted").GetInt32());
    }

    [Fact]
    public async Task A_whole_reply_that_the_client_does_not_wait_for_is_billed_for_its_prompt()
    {
        await using var company = await SimulatedCompany.OpenAiAsync();
        await company.BehaveAsync(new { latency = new { kind = "fixed", ms = 60_000 } });
        using var leave = CancellationTokenSource.CreateLinkedTokenSource(Cancellation);
        using var request = new HttpRequestMessage(HttpMethod.Post, Chat.Path) { Content = new StringContent(JsonSerializer.Serialize(Chat.Request("hello"))) };
        var sent = company.Client.SendAsync(request, leave.Token);
        while (!(await company.GetAsync("/control/stats")).TryGetProperty("sim-large", out _)) await Task.Yield();
        await leave.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => sent);
        var line = Assert.Single(await company.BillAsync(1));
        Assert.Equal("aborted", line.GetProperty("status").GetString());
        Assert.Equal(0, line.Tokens("output"));
    }

    [Fact]
    public async Task Lines_name_the_key_without_holding_it()
    {
        await using var company = await SimulatedCompany.OpenAiAsync();
        await company.PostAsync(Chat.Path, Chat.Request("hello"));
        await company.PostAsync(Chat.Path, Chat.Request("hello"), 200, ("Authorization", "Bearer sk-another-key-0001"));
        var all = await company.BillAsync(2);
        Assert.Equal(2, all.Select(l => l.GetProperty("key").GetString()).Distinct(StringComparer.Ordinal).Count());
        Assert.EndsWith("-6789", all[0].GetProperty("key").GetString(), StringComparison.Ordinal);
        Assert.DoesNotContain(SimulatedCompany.Key, all[0].GetRawText(), StringComparison.Ordinal);
        Assert.Single(await company.BillAsync(1, $"key={all[0].GetProperty("key").GetString()}"));
        Assert.Single(await company.BillAsync(1, "key=sk-another-key-0001"));
    }

    [Fact]
    public async Task The_bill_filters_clears_and_says_what_it_lost()
    {
        await using var company = await SimulatedCompany.OpenAiAsync("--Simulator:BillCapacity=5");
        for (var i = 0; i < 8; i++) await company.PostAsync(Chat.Path, Chat.Request("hello", ("model", i % 2 == 0 ? "sim-large" : "sim-small")));
        var bill = await company.GetAsync("/control/bill");
        Assert.Equal(3, bill.GetProperty("dropped").GetInt32());
        Assert.Equal(5, bill.GetProperty("matched").GetInt32());
        Assert.Equal(3, (await company.BillAsync(1, "model=sim-small")).Length);
        var since = bill.GetProperty("lines")[3].GetProperty("startedAt").GetString()!;
        Assert.Equal(2, (await company.BillAsync(1, $"since={Uri.EscapeDataString(since)}")).Length);
        Assert.Equal(1, (await company.GetAsync("/control/bill?limit=1")).GetProperty("lines").GetArrayLength());
        using var bad = await company.Client.GetAsync("/control/bill?since=yesterday", Cancellation);
        Assert.Equal(400, (int)bad.StatusCode);
        using var cleared = await company.Client.DeleteAsync("/control/bill", Cancellation);
        var empty = await company.GetAsync("/control/bill");
        Assert.Equal((0, 0), (empty.GetProperty("matched").GetInt32(), empty.GetProperty("dropped").GetInt32()));
    }

    [Fact]
    public async Task Requests_in_parallel_are_all_on_the_bill()
    {
        await using var company = await SimulatedCompany.OpenAiAsync();
        await Parallel.ForEachAsync(Enumerable.Range(0, 200), new ParallelOptions { MaxDegreeOfParallelism = 16, CancellationToken = Cancellation }, async (i, _) =>
        {
            var reply = await company.PostAsync(Chat.Path, Chat.Request($"say exactly: answer-{i}"));
            Assert.Equal($"answer-{i}", reply.Content());
        });
        var lines = await company.BillAsync(200);
        Assert.Equal(200, lines.Select(l => l.GetProperty("responseId").GetString()).Distinct(StringComparer.Ordinal).Count());
    }
}
