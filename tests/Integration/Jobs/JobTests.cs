using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using AiAspire.Integration.Application;
using Aspire.Hosting.Testing;

namespace AiAspire.Integration.Jobs;

[Collection(ApplicationCollection.Name)]
public sealed class JobTests(RunningApplication application)
{
    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    [Trait("Checklist", "ARCH-01")]
    public async Task A_queued_completion_runs_in_a_worker_and_is_charged_once()
    {
        using var client = application.Developer();
        using var accepted = await client.PostAsJsonAsync("/v1/jobs", new { request = Wire.Chat("say exactly: done later") }, Cancelled);
        Assert.Equal(HttpStatusCode.Accepted, accepted.StatusCode);
        var job = await FinishedAsync(client, accepted.Headers.Location!);
        Assert.Equal("succeeded", job.GetProperty("status").GetString());
        Assert.Equal("done later", job.GetProperty("result").Content());
        await using var database = await application.OpenSuperuserAsync();
        Assert.Equal(1, await database.ScalarAsync<long>(
            "SELECT count(*) FROM aiaspire.ledger_requests WHERE conversation_id = $1 AND charged_cost > 0", job.GetProperty("id").GetGuid()));
    }

    [Fact]
    public async Task What_cannot_succeed_is_refused_when_queued()
    {
        using var client = application.Developer();
        using var unknown = await client.PostAsJsonAsync("/v1/jobs", new { request = Wire.Chat("x", "no-such-model") }, Cancelled);
        await unknown.ErrorAsync(HttpStatusCode.NotFound, "model_not_found");
        using var streaming = await client.PostAsJsonAsync("/v1/jobs", new { request = Wire.Chat("x", stream: true) }, Cancelled);
        await streaming.ErrorAsync(HttpStatusCode.BadRequest, "invalid_value", "request.stream");
        using var kind = await client.PostAsJsonAsync("/v1/jobs", new { kind = "juggling", request = Wire.Chat("x") }, Cancelled);
        await kind.ErrorAsync(HttpStatusCode.BadRequest, "invalid_value", "kind");
    }

    [Fact]
    [Trait("Checklist", "LOAD-08")]
    public async Task The_job_of_a_killed_worker_is_finished_by_the_other()
    {
        using var simulator = application.App.CreateHttpClient("sim-openai");
        await simulator.PutAsJsonAsync("/control/models/sim-reasoning/behaviour", new { latency = new { kind = "fixed", ms = 2500 } }, Cancelled);
        using var client = application.Developer();
        using var accepted = await client.PostAsJsonAsync("/v1/jobs", new { request = Wire.Chat("say exactly: survived", "sim-reasoning") }, Cancelled);
        var id = (await accepted.JsonAsync()).GetProperty("id").GetGuid();
        await using var database = await application.OpenSuperuserAsync();
        var worker = await Wait.ForAsync(
            "a worker to take the job",
            async () => (await database.ListAsync("SELECT worker FROM aiaspire.jobs WHERE job_id = $1 AND state = 'Running'", r => r.GetString(0), id)).SingleOrDefault(),
            application,
            "workers");
        var killed = int.Parse(worker[(worker.LastIndexOf(':') + 1)..], System.Globalization.CultureInfo.InvariantCulture);
        var replica = application.App.GetResourceProcessId("workers", 0) == killed ? 0 : 1;
        Assert.Equal(killed, application.App.GetResourceProcessId("workers", replica));
        await application.App.KillResourceAsync("workers", replica, Cancelled);

        var job = await FinishedAsync(client, accepted.Headers.Location!);
        await simulator.DeleteAsync("/control/models/sim-reasoning/behaviour", Cancelled);
        Assert.Equal("succeeded", job.GetProperty("status").GetString());
        Assert.Equal("survived", job.GetProperty("result").Content());
        Assert.Equal(2, job.GetProperty("tries").GetInt32());
        // The first worker's call is on the bill and in the ledger, open, with its lease; it was never charged.
        Assert.Equal(1, await database.ScalarAsync<long>("SELECT count(*) FROM aiaspire.ledger_requests WHERE conversation_id = $1", id));
        await database.ExecuteAsync("UPDATE aiaspire.ledger_attempts SET outcome = 'Abandoned', usage_source = 'Estimate' WHERE outcome = 'Open'");
        await application.App.StartResourceAsync("workers", replica, Cancelled);
    }

    private async Task<JsonElement> FinishedAsync(HttpClient client, Uri location)
    {
        var job = await Wait.ForAsync(
            "the job to finish",
            async () =>
            {
                var job = await client.GetFromJsonAsync<JsonElement>(location, Cancelled);
                return job.GetProperty("status").GetString() is "succeeded" or "failed" ? (object)job : null;
            },
            application,
            "workers");
        return (JsonElement)job;
    }
}
