using System.Net.Http.Json;
using System.Text.Json;
using AiAspire.Integration.Application;
using Aspire.Hosting.Testing;

namespace AiAspire.Integration.Operations;

/// <summary>The ledger against the companies' own bills: whatever went before in this run is part of the comparison.</summary>
[Collection(ApplicationCollection.Name)]
public sealed class LedgerTests(RunningApplication application)
{
    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    [Trait("Checklist", "PROV-04")]
    [Trait("Checklist", "PROV-09")]
    public async Task Every_line_of_the_bill_has_its_attempt_with_the_same_tokens()
    {
        using var client = application.Developer();
        foreach (var model in new[] { "sim-large", "sim-small", "sim-reasoning", "sim-anthropic-large", "sim-anthropic-small" })
        {
            using var whole = await client.ChatAsync($"a question for {model}", model);
            using var stream = await client.PostAsJsonAsync("/v1/chat/completions", Wire.Chat($"a stream from {model}", model, stream: true), Cancelled);
            await stream.EventsAsync();
        }

        // The same long prefix twice: the second time most of its tokens are cached ones.
        var prefix = string.Concat(Enumerable.Range(0, 1_500).Select(i => $"fact {i} "));
        using var cold = await client.ChatAsync(prefix, "sim-large");
        using var warm = await client.ChatAsync(prefix, "sim-large");
        await AbortAsync(client);

        await using var database = await application.OpenSuperuserAsync();
        await Wait.UntilAsync(
            "all attempts to be settled",
            async () => await database.ScalarAsync<long>("SELECT count(*) FROM aiaspire.ledger_attempts WHERE outcome = 'Open'") == 0,
            application,
            "api");
        var attempts = (await database.ListAsync(
            """
            SELECT attempt_id, usage_source, input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, upstream_model
            FROM aiaspire.ledger_attempts
            """,
            row => (Id: row.GetGuid(0), Source: row.GetString(1), Tokens: new Tokens(row.GetInt64(2), row.GetInt64(3), row.GetInt64(4), row.GetInt64(5), row.GetInt64(6)), Model: row.GetString(7))))
            .ToDictionary(a => a.Id);
        // What a caller who left did not read is on the bill when the provider has noticed.
        var delivered = attempts.Values.Where(a => a.Tokens.Output > 0 && a.Source != "Estimate").Select(a => a.Id).ToHashSet();
        var lines = await Wait.ForAsync(
            "the bill of all that was delivered",
            async () => await BillAsync() is var bill && delivered.IsSubsetOf(bill.Select(l => l.AttemptId)) ? bill : null,
            application,
            "sim-openai");
        Assert.True(lines.Count > 10, $"only {lines.Count} lines on the bill");
        Assert.Contains(lines, l => l.Tokens.CachedInput > 0);
        foreach (var line in lines)
        {
            Assert.True(attempts.TryGetValue(line.AttemptId, out var attempt), $"the bill's line {line} has no attempt");
            if (attempt.Source == "Provider")
                Assert.Equal(line.Tokens, attempt.Tokens);
        }

        Assert.Contains(lines, l => attempts[l.AttemptId].Source == "Provider");
    }

    [Fact]
    public async Task A_caller_who_leaves_is_charged_for_what_was_delivered()
    {
        using var client = application.Developer();
        var request = await AbortAsync(client);
        await using var database = await application.OpenSuperuserAsync();
        var row = await Wait.ForAsync(
            "the aborted request's ledger row",
            async () => (await database.ListAsync(
                "SELECT outcome, output_tokens, charged_cost FROM aiaspire.ledger_requests WHERE request_id = $1",
                r => Tuple.Create(r.GetString(0), r.GetInt64(1), r.GetDecimal(2)),
                request)).SingleOrDefault(),
            application,
            "api");
        Assert.Equal("aborted", row.Item1);
        Assert.True(row.Item2 > 0);
        Assert.True(row.Item3 > 0);
        Assert.Equal(
            "Delivered", await database.ScalarAsync<string>("SELECT usage_source FROM aiaspire.ledger_attempts WHERE request_id = $1", request));
    }

    /// <summary>Starts a slow stream and leaves after the first bytes.</summary>
    private async Task<Guid> AbortAsync(HttpClient client)
    {
        using var simulator = application.App.CreateHttpClient("sim-openai");
        await simulator.PutAsJsonAsync("/control/models/sim-small/behaviour", new { tokensPerSecond = 20 }, Cancelled);
        using var request = new HttpRequestMessage(HttpMethod.Post, "/v1/chat/completions")
        {
            Content = JsonContent.Create(Wire.Chat("say exactly: " + string.Join(' ', Enumerable.Range(0, 200)), "sim-small", stream: true)),
        };
        Guid id;
        using (var response = await client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, Cancelled))
        {
            id = Guid.Parse(response.Header("x-request-id"));
            await using var body = await response.Content.ReadAsStreamAsync(Cancelled);
            using var reader = new StreamReader(body);
            for (var events = 0; events < 4;)
            {
                if ((await reader.ReadLineAsync(Cancelled))!.StartsWith("data:", StringComparison.Ordinal))
                    events++;
            }
        }

        await simulator.DeleteAsync("/control/models/sim-small/behaviour", Cancelled);
        return id;
    }

    private async Task<List<Line>> BillAsync()
    {
        var lines = new List<Line>();
        foreach (var company in new[] { "sim-openai", "sim-anthropic" })
        {
            using var simulator = application.App.CreateHttpClient(company);
            var bill = await simulator.GetFromJsonAsync<JsonElement>("/control/bill?limit=100000", Cancelled);
            lines.AddRange(bill.GetProperty("lines").EnumerateArray().Where(l => l.GetProperty("billed").GetBoolean()).Select(l => new Line(
                l.GetProperty("clientRequestId").GetGuid(), TokensOf(l.GetProperty("tokens")))));
        }

        return lines;
    }

    private static Tokens TokensOf(JsonElement tokens) => new(
        tokens.GetProperty("input").GetInt64(),
        tokens.GetProperty("cachedInput").GetInt64(),
        tokens.GetProperty("cacheWrite").GetInt64(),
        tokens.GetProperty("output").GetInt64(),
        tokens.GetProperty("reasoning").GetInt64());

    private sealed record Tokens(long Input, long CachedInput, long CacheWrite, long Output, long Reasoning);

    private sealed record Line(Guid AttemptId, Tokens Tokens);
}
