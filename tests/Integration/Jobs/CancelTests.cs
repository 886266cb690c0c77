using System.Diagnostics;
using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using AiAspire.Integration.Application;
using Aspire.Hosting.Testing;

namespace AiAspire.Integration.Jobs;

[Collection(ApplicationCollection.Name)]
public sealed class CancelTests(RunningApplication application)
{
    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    [Trait("Checklist", "ARCH-01")]
    public async Task A_running_job_is_cancelled_within_seconds_and_what_its_user_has_seen_is_charged_once()
    {
        await using var slow = await application.BehaveAsync("sim-small", new { tokensPerSecond = 20 });
        using var client = application.Developer();
        var id = await client.QueueChatAsync("say exactly: " + string.Join(' ', Enumerable.Range(0, 400)), "sim-small", stream: true);
        await using var database = await application.OpenSuperuserAsync();
        await Wait.UntilAsync(
            "the job's first tokens", async () => await database.ScalarAsync<long>("SELECT count(*) FROM aiaspire.job_events WHERE job_id = $1", id) > 1, application, "workers");
        var started = Stopwatch.GetTimestamp();

        using var response = await client.PostAsync($"/v1/jobs/{id}/cancel", null, Cancelled);
        var answer = await response.JsonAsync();
        Assert.True(answer.Status() == "cancelled" || answer.GetProperty("cancel_requested").GetBoolean(), answer.GetRawText());
        var job = await client.OverAsync(id, application);

        Assert.True(Stopwatch.GetElapsedTime(started) < TimeSpan.FromSeconds(15), "it took as long as the answer itself, which has twenty seconds");
        Assert.Equal(("cancelled", "cancelled"), (job.Status(), job.GetProperty("error").GetProperty("code").GetString()));
        var row = Assert.Single(await database.ListAsync(
            "SELECT outcome, charged_cost, request_id FROM aiaspire.ledger_requests WHERE conversation_id = $1", r => (r.GetString(0), r.GetDecimal(1), r.GetGuid(2)), id));
        Assert.Equal("aborted", row.Item1);
        Assert.True(row.Item2 > 0, "tokens that were streamed are charged");
        Assert.Equal(row.Item2, job.GetProperty("cost_usd").GetDecimal());
        // The provider was told to stop: its bill says so.
        var attempt = await database.ScalarAsync<Guid>("SELECT attempt_id FROM aiaspire.ledger_attempts WHERE request_id = $1", row.Item3);
        using var simulator = application.App.CreateHttpClient("sim-openai");
        await Wait.UntilAsync(
            "the provider's line of the cancelled call",
            async () => (await simulator.GetFromJsonAsync<JsonElement>($"/control/bill?client_request_id={attempt}", Cancelled)).GetProperty("lines").EnumerateArray()
                .Any(l => l.GetProperty("status").GetString() == "aborted"),
            application,
            "sim-openai");
    }

    [Fact]
    public async Task What_is_over_cannot_be_cancelled_and_anothers_job_is_not_there()
    {
        using var client = application.Developer();
        var id = await client.QueueChatAsync("say exactly: done");
        await client.OverAsync(id, application);
        using var late = await client.PostAsync($"/v1/jobs/{id}/cancel", null, Cancelled);
        await late.ErrorAsync(HttpStatusCode.Conflict, "job_is_over");
        using var stranger = application.Client(application.Token("acme", "bob"));
        using var foreign = await stranger.PostAsync($"/v1/jobs/{id}/cancel", null, Cancelled);
        await foreign.ErrorAsync(HttpStatusCode.NotFound, "not_found");
    }
}
