using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using AiAspire.Integration.Admin;
using AiAspire.Integration.Application;
using Aspire.Hosting.Testing;

namespace AiAspire.Integration.Routing;

/// <summary>
/// Faults of providers, injected at the Simulator: each request has one truthful outcome, and the books hold afterwards. The models
/// <c>quick-…</c> are the Simulator's under time limits of three seconds.
/// </summary>
[Collection(ApplicationCollection.Name)]
public sealed class FaultTests(RunningApplication application) : IAsyncDisposable
{
    private const string Answer = "say exactly: a b c d e f g h i j k l m n";

    /// <summary>Ten seconds at 20 words a second: nobody reads it to its end by chance.</summary>
    private static readonly string Long = "say exactly: " + string.Join(' ', Enumerable.Range(0, 200));

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    /// <summary>Whatever became of the test: the next one starts with companies that are well.</summary>
    public async ValueTask DisposeAsync()
    {
        foreach (var name in new[] { "sim-openai", "sim-anthropic" })
        {
            using var company = application.App.CreateHttpClient(name);
            foreach (var fault in new[] { "outage", "behaviour" })
                (await company.DeleteAsync($"/control/{fault}", CancellationToken.None)).Dispose();
        }
    }

    [Fact]
    [Trait("Checklist", "PROV-03")]
    public async Task In_a_whole_outage_another_company_serves_everything_and_traffic_comes_back_by_itself()
    {
        using var client = application.Developer();
        using var company = application.App.CreateHttpClient("sim-openai");
        await PutAsync(company, "/control/outage", new { status = 503 });
        // What went well just before counts for the breaker, too: it may take a while to open.
        await Wait.UntilAsync("the breaker to open", async () => !(await ServedAsync(client, "sim-resilient")).Contains("sim-openai", StringComparison.Ordinal), application, "api");
        var attempts = new List<string>();
        for (var i = 0; i < 40; i++)
            attempts.Add(await ServedAsync(client, "sim-resilient"));
        Assert.All(attempts, a => Assert.EndsWith("sim-anthropic/sim-anthropic-large;status=200", a, StringComparison.Ordinal));
        // The breaker opened: most requests no longer wait for the dead company.
        Assert.True(attempts.Count(a => !a.Contains("sim-openai", StringComparison.Ordinal)) > 15, string.Join('\n', attempts));
        using var alone = await client.ChatAsync("hello", "sim-large");
        await alone.ErrorAsync(HttpStatusCode.ServiceUnavailable, "provider_unavailable");
        Assert.NotNull(alone.Headers.RetryAfter);

        await company.DeleteAsync("/control/outage", Cancelled);
        await Wait.UntilAsync(
            "the traffic to come back", async () => await ServedAsync(client, "sim-resilient") == "sim-openai/sim-large;status=200", application, "api");
        await Books.AssertTrueAsync(application);
    }

    [Fact]
    [Trait("Checklist", "COST-09")]
    public async Task In_a_storm_of_429_another_company_serves_and_without_one_the_answer_is_429_with_a_time()
    {
        using var client = application.Developer();
        using var company = application.App.CreateHttpClient("sim-openai");
        await BehaveAsync(company, "sim-large", new { errorRates = new Dictionary<string, double> { ["429"] = 1 }, retryAfterSeconds = 60 });
        var attempts = new List<string>();
        for (var i = 0; i < 10; i++)
            attempts.Add(await ServedAsync(client, "storm"));
        // One request met the 429; the others left the target alone, as it had asked.
        Assert.Single(attempts, a => a.Contains("status=429", StringComparison.Ordinal));
        using var alone = await client.ChatAsync("hello", "stormy");
        await alone.ErrorAsync(HttpStatusCode.TooManyRequests, "provider_rate_limited");
        Assert.InRange(alone.Headers.RetryAfter!.Delta!.Value.TotalSeconds, 30, 60);

        // A shorter storm is waited out: the same request, retried when the provider said.
        await BehaveAsync(company, "sim-reasoning", new { errorCount = 1, errorStatus = 429, retryAfterSeconds = 1 });
        Assert.Equal("sim-openai/sim-reasoning;status=429;error=rate_limited, sim-openai/sim-reasoning;status=200", await ServedAsync(client, "sim-reasoning"));
        await company.DeleteAsync("/control/behaviour", Cancelled);
        await Books.AssertTrueAsync(application);
    }

    [Theory]
    [InlineData("hangAfterChunks", 0, "timeout")]
    [InlineData("resetAfterChunks", 0, "cut")]
    [InlineData("cutAfterChunks", 0, "cut")]
    [InlineData("malformedChunkAfter", 0, "malformed")]
    [InlineData("errorEventAfterChunks", 0, "stream_error")]
    [Trait("Checklist", "PROV-03")]
    public async Task A_stream_that_fails_before_its_first_content_is_served_whole_by_another_company(string fault, int after, string error)
    {
        using var client = application.Developer();
        using var company = application.App.CreateHttpClient("sim-openai");
        await BehaveAsync(company, "sim-reasoning", new Dictionary<string, object> { [fault] = after, ["faultCount"] = 1 });
        using var response = await StreamAsync(client, "quick");
        Assert.Equal("[DONE]", (await response.EventsAsync())[^1]);
        var attempts = response.Header("x-aiaspire-attempts");
        Assert.Contains($"error={error}", attempts, StringComparison.Ordinal);
        // Headers go out with the first content, when the second attempt is still open.
        Assert.Contains(", sim-anthropic/sim-anthropic-small", attempts, StringComparison.Ordinal);
        await company.DeleteAsync("/control/behaviour", Cancelled);
        Assert.Equal("succeeded", await OutcomeAsync(response));
        await Books.AssertTrueAsync(application);
    }

    [Theory]
    [InlineData("hangAfterChunks", "provider_timeout")]
    [InlineData("cutAfterChunks", "provider_cut")]
    [InlineData("malformedChunkAfter", "provider_malformed")]
    public async Task A_stream_that_fails_after_it_ends_with_an_error_and_nobody_else_is_called(string fault, string code)
    {
        using var client = application.Developer();
        using var company = application.App.CreateHttpClient("sim-openai");
        await BehaveAsync(company, "sim-reasoning", new Dictionary<string, object> { [fault] = 3, ["faultCount"] = 1 });
        using var response = await StreamAsync(client, "quick");
        var events = await response.EventsAsync();
        Assert.DoesNotContain("[DONE]", events);
        Assert.Equal(code, JsonElement.Parse(events[^1]).GetProperty("error").GetProperty("code").GetString());
        Assert.DoesNotContain("anthropic", response.Header("x-aiaspire-attempts"), StringComparison.Ordinal);
        await company.DeleteAsync("/control/behaviour", Cancelled);
        Assert.Equal("failed", await OutcomeAsync(response));
        await Books.AssertTrueAsync(application);
    }

    [Fact]
    public async Task A_slow_drip_is_no_fault_and_missing_usage_is_counted_by_us()
    {
        using var client = application.Developer();
        using var company = application.App.CreateHttpClient("sim-openai");
        // 14 words at 3 a second last longer than the limits of three seconds, which are for silence.
        await BehaveAsync(company, "sim-small", new { tokensPerSecond = 3, missingUsage = true });
        using var response = await StreamAsync(client, "limited-small");
        Assert.Equal("[DONE]", (await response.EventsAsync())[^1]);
        await company.DeleteAsync("/control/behaviour", Cancelled);
        Assert.Equal("succeeded", await OutcomeAsync(response));
        await using var database = await application.OpenSuperuserAsync();
        var row = (await database.ListAsync(
            "SELECT usage_source, output_tokens, provider_cost FROM aiaspire.ledger_attempts WHERE request_id = $1",
            r => (r.GetString(0), r.GetInt64(1), r.GetDecimal(2)),
            Guid.Parse(response.Header("x-request-id")))).Single();
        Assert.Equal("Delivered", row.Item1);
        Assert.True(row is { Item2: > 5, Item3: > 0 }, row.ToString());
        await Books.AssertTrueAsync(application);
    }

    [Theory]
    [InlineData("usageFactor", 0, true)]
    [InlineData("usageOffset", 1_000_000, false)]
    [InlineData("usageOffset", -1_000_000, true)]
    [InlineData("usageFactor", 0.05, false)]
    [Trait("Checklist", "PROV-04")]
    public async Task An_absurd_report_of_usage_is_not_charged_and_raises_an_alarm(string field, double value, bool stream)
    {
        using var tenant = await AdministeredTenant.CreateAsync(application);
        using var user = tenant.As("ann");
        using var company = application.App.CreateHttpClient("sim-openai");
        // One report of a million would use up the day.
        await tenant.PatchAsync($"/v1/admin/tenants/{tenant.Id}", new { tokens_per_day = 20_000 });
        await BehaveAsync(company, "sim-small", new Dictionary<string, object> { [field] = value });
        using var response = await user.PostAsJsonAsync("/v1/chat/completions", Wire.Chat(Long, "sim-small", stream), Cancelled);
        Assert.True(response.StatusCode == HttpStatusCode.OK, await response.Content.ReadAsStringAsync(Cancelled));
        await response.Content.LoadIntoBufferAsync(Cancelled);
        await company.DeleteAsync("/control/behaviour", Cancelled);
        Assert.Equal("succeeded", await OutcomeAsync(response));

        await using var database = await application.OpenSuperuserAsync();
        var request = Guid.Parse(response.Header("x-request-id"));
        var row = (await database.ListAsync(
            "SELECT attempt_id, usage_source, input_tokens, output_tokens FROM aiaspire.ledger_attempts WHERE request_id = $1", r => (Id: r.GetGuid(0), Source: r.GetString(1), Input: r.GetInt64(2), Output: r.GetInt64(3)), request)).Single();
        Assert.Equal("Disputed", row.Source);
        // As near the company's true bill as another tokenizer comes.
        var bill = (await company.GetFromJsonAsync<JsonElement>($"/control/bill?client_request_id={row.Id}", Cancelled)).GetProperty("lines")[0].GetProperty("tokens");
        var (input, output) = (bill.GetProperty("input").GetInt64(), bill.GetProperty("output").GetInt64());
        Assert.InRange(row.Input, input / 2, input * 2);
        Assert.InRange(row.Output, output / 2, output * 2);
        await Wait.UntilAsync(
            "the alarm",
            () => Task.FromResult(application.App.GetResourceLogs("api").Any(
                l => l.Contains("ALARM: 'sim-openai' reports", StringComparison.Ordinal) && l.Contains(request.ToString(), StringComparison.Ordinal))),
            application,
            "api");
        using var next = await user.ChatAsync("hello", "sim-small");
        Assert.Equal(HttpStatusCode.OK, next.StatusCode);
        await Books.AssertTrueAsync(application);
    }

    [Theory]
    [InlineData("before the reply", false)]
    [InlineData("before the first content", true)]
    [InlineData("within the stream", true)]
    public async Task A_caller_who_leaves_is_an_abort_and_never_the_providers_fault(string stage, bool stream)
    {
        using var client = application.Developer();
        using var company = application.App.CreateHttpClient("sim-openai");
        await BehaveAsync(company, "sim-small", stage == "within the stream" ? new { tokensPerSecond = 20 } : new { latency = new { kind = "fixed", ms = 60_000 } });
        var before = await AbortsAsync();
        using (var leaving = CancellationTokenSource.CreateLinkedTokenSource(Cancelled))
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, "/v1/chat/completions") { Content = JsonContent.Create(Wire.Chat(Long, "sim-small", stream)) };
            var sending = client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, leaving.Token);
            if (stage == "within the stream")
            {
                using var response = await sending;
                using var reader = new StreamReader(await response.Content.ReadAsStreamAsync(Cancelled));
                for (var events = 0; events < 4;)
                    events += (await reader.ReadLineAsync(Cancelled))!.StartsWith("data:", StringComparison.Ordinal) ? 1 : 0;
            }
            else
            {
                await Wait.UntilAsync("the provider to have the request", async () => await ActiveAsync(company) > 0, application, "api");
                await leaving.CancelAsync();
                await Assert.ThrowsAnyAsync<OperationCanceledException>(() => sending);
            }
        }

        await Wait.UntilAsync("the abort in the ledger", async () => await AbortsAsync() > before, application, "api");
        // The provider was told to stop.
        await Wait.UntilAsync("the provider to stop", async () => await ActiveAsync(company) == 0, application, "api");
        await company.DeleteAsync("/control/behaviour", Cancelled);
        await Books.AssertTrueAsync(application);
        var providers = await client.GetFromJsonAsync<JsonElement>("/v1/admin/providers", Cancelled);
        var target = providers.GetProperty("data").EnumerateArray().Single(p => p.GetProperty("name").GetString() == "sim-openai")
            .GetProperty("targets").EnumerateArray().Single(t => t.GetProperty("model").GetString() == "sim-small");
        Assert.Equal("closed", target.GetProperty("breaker").GetString());
    }

    private static async Task<string> ServedAsync(HttpClient client, string model)
    {
        using var response = await client.ChatAsync("hello", model);
        Assert.True(response.StatusCode == HttpStatusCode.OK, await response.Content.ReadAsStringAsync(Cancelled));
        return response.Header("x-aiaspire-attempts");
    }

    private static async Task<HttpResponseMessage> StreamAsync(HttpClient client, string model)
    {
        var response = await client.PostAsJsonAsync("/v1/chat/completions", Wire.Chat(Answer, model, stream: true), Cancelled);
        Assert.True(response.StatusCode == HttpStatusCode.OK, await response.Content.ReadAsStringAsync(Cancelled));
        return response;
    }

    private Task<string> OutcomeAsync(HttpResponseMessage response)
        => Wait.ForAsync("the request's outcome", () => Books.OutcomeAsync(application, Guid.Parse(response.Header("x-request-id"))), application, "api");

    private async Task<long> AbortsAsync()
    {
        await using var database = await application.OpenSuperuserAsync();
        return await database.ScalarAsync<long>("SELECT count(*) FROM aiaspire.ledger_requests WHERE outcome = 'aborted'");
    }

    private static async Task<long> ActiveAsync(HttpClient company)
    {
        var models = await company.GetFromJsonAsync<JsonElement>("/control/stats", Cancelled);
        return models.TryGetProperty("sim-small", out var small) ? small.GetProperty("active").GetInt64() : 0;
    }

    private static Task BehaveAsync(HttpClient company, string model, object behaviour) => PutAsync(company, $"/control/models/{model}/behaviour", behaviour);

    private static async Task PutAsync(HttpClient company, string path, object body)
    {
        using var response = await company.PutAsJsonAsync(path, body, Cancelled);
        Assert.True(response.IsSuccessStatusCode, await response.Content.ReadAsStringAsync(Cancelled));
    }
}
