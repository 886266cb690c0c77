using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using AiAspire.Integration.Application;
using Aspire.Hosting.Testing;

namespace AiAspire.Integration.Usage;

[Collection(ApplicationCollection.Name)]
public sealed class ReconcilerTests(RunningApplication application)
{
    private const string EstimateSql =
        """
        SELECT round((a.estimated_input_tokens * p.input + a.reserved_output_tokens * p.output) / 1000000, 9)
        FROM aiaspire.ledger_attempts a JOIN aiaspire.model_prices p ON p.price_id = a.price_id WHERE a.attempt_id = $1
        """;

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    [Trait("Checklist", "PROV-09")]
    [Trait("Checklist", "LOAD-08")]
    public async Task What_a_killed_api_left_open_is_closed_at_the_estimate_and_the_retry_is_charged_once()
    {
        using var simulator = application.App.CreateHttpClient("sim-openai");
        await simulator.PutAsJsonAsync("/control/models/sim-small/behaviour", new { tokensPerSecond = 5 }, Cancelled);
        await using var database = await application.OpenSuperuserAsync();
        var key = Guid.CreateVersion7(TimeProvider.System.GetUtcNow()).ToString("N");
        Guid requestId;
        using (var client = application.Developer())
        {
            using var streaming = await client.SendAsync(Request(key), HttpCompletionOption.ResponseHeadersRead, Cancelled);
            Assert.Equal(HttpStatusCode.OK, streaming.StatusCode);
            requestId = Guid.Parse(streaming.Header("x-request-id"));
            var open = await client.GetFromJsonAsync<JsonElement>("/v1/admin/ledger/open", Cancelled);
            Assert.Contains(open.GetProperty("data").EnumerateArray(), a => a.GetProperty("request_id").GetGuid() == requestId && a.GetProperty("estimated_cost").GetDecimal() > 0);
            await application.App.KillResourceAsync("api", cancellationToken: Cancelled);
        }

        await simulator.DeleteAsync("/control/models/sim-small/behaviour", Cancelled);
        await application.App.ResourceNotifications.WaitForResourceHealthyAsync("api", Cancelled);
        var (attemptId, cost, input, output, reservedIn, reservedOut) = await Wait.ForAsync(
            "the attempt to be closed as abandoned",
            async () => (await database.ListAsync(
                """
                SELECT attempt_id, provider_cost, input_tokens, output_tokens, estimated_input_tokens, reserved_output_tokens FROM aiaspire.ledger_attempts
                WHERE request_id = $1 AND outcome = 'Abandoned' AND usage_source = 'Estimate'
                """,
                r => Tuple.Create(r.GetGuid(0), r.GetDecimal(1), r.GetInt64(2), r.GetInt64(3), r.GetInt64(4), r.GetInt64(5)),
                requestId)).SingleOrDefault(),
            application,
            "workers");
        Assert.True(cost > 0);
        Assert.Equal((reservedIn, reservedOut), (input, output));
        Assert.Equal(await database.ScalarAsync<decimal>(EstimateSql, attemptId), cost);
        Assert.Equal(
            ("abandoned", 0m, cost),
            (await database.ListAsync(
                "SELECT outcome, charged_cost, provider_cost FROM aiaspire.ledger_requests WHERE request_id = $1", r => (r.GetString(0), r.GetDecimal(1), r.GetDecimal(2)), requestId)).Single());

        using var again = application.Developer();
        using var retried = await Wait.ForAsync(
            "the key's answer",
            async () =>
            {
                var response = await again.SendAsync(Request(key), Cancelled);
                if (response.StatusCode != HttpStatusCode.Conflict)
                    return response;
                response.Dispose();
                return null;
            },
            application,
            "api");
        Assert.Equal(HttpStatusCode.OK, retried.StatusCode);
        Assert.Equal(1, await database.ScalarAsync<long>(
            "SELECT count(*) FROM aiaspire.ledger_requests WHERE request_id IN ($1, $2) AND charged_cost > 0", requestId, Guid.Parse(retried.Header("x-request-id"))));
    }

    [Fact]
    public async Task A_call_that_outlived_its_lease_is_settled_with_the_truth()
    {
        using var simulator = application.App.CreateHttpClient("sim-openai");
        await simulator.PutAsJsonAsync("/control/models/sim-reasoning/behaviour", new { latency = new { kind = "fixed", ms = 25_000 } }, Cancelled);
        using var client = application.Developer();
        await using var database = await application.OpenSuperuserAsync();
        var calling = client.ChatAsync("say exactly: slow but alive", "sim-reasoning");
        var attemptId = await Wait.ForAsync(
            "the attempt to be open",
            async () => (await database.ListAsync(
                "UPDATE aiaspire.ledger_attempts SET lease_until = now() - interval '1 second' WHERE outcome = 'Open' AND model = 'sim-reasoning' RETURNING attempt_id",
                r => (object)r.GetGuid(0))).SingleOrDefault(),
            application,
            "api");
        await Wait.UntilAsync(
            "the attempt to be given up",
            async () => await database.ScalarAsync<string>("SELECT outcome FROM aiaspire.ledger_attempts WHERE attempt_id = $1", attemptId) == "Abandoned",
            application,
            "workers");
        using var answer = await calling;
        await simulator.DeleteAsync("/control/models/sim-reasoning/behaviour", Cancelled);
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        var usage = (await answer.JsonAsync()).GetProperty("usage");
        var row = (await database.ListAsync(
            """
            SELECT a.outcome, a.usage_source, a.output_tokens, a.provider_cost, r.outcome, r.charged_cost, r.provider_cost, r.attempts, r.conversation_id IS NOT NULL
            FROM aiaspire.ledger_attempts a JOIN aiaspire.ledger_requests r ON r.tenant_id = a.tenant_id AND r.request_id = a.request_id WHERE a.attempt_id = $1
            """,
            r => (Attempt: r.GetString(0), Source: r.GetString(1), Output: r.GetInt64(2), Cost: r.GetDecimal(3), Request: r.GetString(4), Charged: r.GetDecimal(5), All: r.GetDecimal(6), Attempts: r.GetInt32(7), Conversation: r.GetBoolean(8)),
            attemptId)).Single();
        Assert.Equal(("Succeeded", "Provider", usage.GetProperty("completion_tokens").GetInt64(), "succeeded", 1, true), (row.Attempt, row.Source, row.Output, row.Request, row.Attempts, row.Conversation));
        Assert.True(row.Cost > 0);
        Assert.Equal((row.Cost, row.Cost), (row.Charged, row.All));
    }

    private static HttpRequestMessage Request(string key)
    {
        var request = new HttpRequestMessage(HttpMethod.Post, "/v1/chat/completions")
        {
            Content = JsonContent.Create(Wire.Chat("say exactly: " + string.Join(' ', Enumerable.Range(0, 100)), "sim-small", stream: true)),
        };
        request.Headers.Add("Idempotency-Key", key);
        return request;
    }
}
