using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using AiAspire.Integration.Application;
using Aspire.Hosting.Testing;

namespace AiAspire.Integration.Jobs;

[Collection(ApplicationCollection.Name)]
public sealed class EmbeddingsJobTests(RunningApplication application)
{
    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    [Trait("Checklist", "ARCH-01")]
    [Trait("Checklist", "LOAD-08")]
    public async Task A_set_is_embedded_in_order_in_several_calls_and_a_killed_worker_repeats_none_that_was_paid()
    {
        await using var slow = await application.BehaveAsync("sim-embedding", new { latency = new { kind = "fixed", ms = 1200 } });
        using var client = application.Developer();
        var inputs = Enumerable.Range(0, 1000).Select(i => $"text number {i}").ToList();
        var id = (await client.QueueAsync(new { kind = "embeddings", request = new { model = "sim-embedding", inputs, dimensions = 8 } })).GetProperty("id").GetGuid();
        var replica = await application.ReplicaOfAsync(id);
        await using var database = await application.OpenSuperuserAsync();
        await Wait.UntilAsync("the first call's part", async () => await database.ScalarAsync<long>("SELECT count(*) FROM aiaspire.job_parts WHERE work_id = $1", id) > 0, application, "workers");
        var paid = await database.ListAsync("SELECT request_id FROM aiaspire.job_parts WHERE work_id = $1", r => r.GetGuid(0), id);
        await application.App.KillResourceAsync("workers", replica, Cancelled);
        await application.App.StartResourceAsync("workers", replica, Cancelled);

        var job = await client.OverAsync(id, application);

        Assert.Equal(("succeeded", 2), (job.Status(), job.GetProperty("tries").GetInt32()));
        var data = job.GetProperty("result").GetProperty("data").EnumerateArray().ToList();
        Assert.Equal(Enumerable.Range(0, 1000), data.Select(e => e.GetProperty("index").GetInt32()));
        foreach (var place in new[] { 0, 255, 256, 999 })
        {
            using var live = await client.PostAsJsonAsync("/v1/embeddings", new { model = "sim-embedding", input = inputs[place], dimensions = 8 }, Cancelled);
            Assert.Equal((await live.JsonAsync()).GetProperty("data")[0].GetProperty("embedding").GetRawText(), data[place].GetProperty("embedding").GetRawText());
        }

        Assert.Equal(0, await database.ScalarAsync<long>("SELECT count(*) FROM aiaspire.job_parts WHERE work_id = $1", id));
        Assert.Equal(paid.Count, await database.ScalarAsync<long>("SELECT count(*) FROM aiaspire.ledger_requests WHERE request_id = ANY ($1) AND charged_cost > 0", paid.ToArray()));
        var created = job.GetProperty("created_at").GetDateTimeOffset().UtcDateTime;
        var (calls, cost) = Assert.Single(await database.ListAsync(
            "SELECT count(*), sum(charged_cost) FROM aiaspire.ledger_requests WHERE feature = 'jobs' AND requested_model = 'sim-embedding' AND charged_cost > 0 AND started_at >= $1",
            r => (r.GetInt64(0), r.GetDecimal(1)), created));
        Assert.Equal((4, job.GetProperty("cost_usd").GetDecimal()), (calls, cost));
        await database.ExecuteAsync("UPDATE aiaspire.ledger_attempts SET outcome = 'Abandoned', usage_source = 'Estimate' WHERE outcome = 'Open'");
    }

    [Fact]
    public async Task What_cannot_be_embedded_is_refused_when_queued()
    {
        using var client = application.Developer();
        await RefusedAsync(new { model = "sim-embedding" }, HttpStatusCode.BadRequest, "inputs");
        await RefusedAsync(new { model = "sim-embedding", inputs = new[] { "a", "" } }, HttpStatusCode.BadRequest, "input[1]");
        await RefusedAsync(new { model = "no-such-model", inputs = new[] { "a" } }, HttpStatusCode.NotFound, "model");

        async Task RefusedAsync(object request, HttpStatusCode status, string param)
        {
            using var response = await client.PostAsJsonAsync("/v1/jobs", new { kind = "embeddings", request }, Cancelled);
            await response.ErrorAsync(status, param: param);
        }
    }
}
