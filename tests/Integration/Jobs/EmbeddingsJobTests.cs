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

    [Theory]
    [Trait("Checklist", "COST-09")]
    [InlineData(true, "cancelled")]
    [InlineData(false, "failed")]
    public async Task What_was_embedded_before_the_end_is_told_as_the_cost_of_a_job_that_came_to_nothing(bool cancel, string status)
    {
        using var client = application.Developer();
        await using var database = await application.OpenSuperuserAsync();
        await using var slow = await application.BehaveAsync("sim-embedding", new { latency = new { kind = "fixed", ms = 1200 } });
        var inputs = Enumerable.Range(0, 1000).Select(i => $"text number {i} of those that are {status}").ToList();
        var id = (await client.QueueAsync(new { kind = "embeddings", request = new { model = "sim-embedding", inputs, dimensions = 8 } })).GetProperty("id").GetGuid();
        await Wait.UntilAsync("the first call's part", async () => await PartsAsync() > 0, application, "workers");
        // So that it waits between two calls, where nobody has the sum at hand.
        await using var busy = await application.BehaveAsync(
            "sim-embedding", new { errorRates = new Dictionary<string, double>(StringComparer.Ordinal) { ["429"] = 1 }, retryAfterSeconds = 5 });
        await Wait.UntilAsync(
            "the job to wait", async () => await database.ScalarAsync<long>("SELECT count(*) FROM aiaspire.jobs WHERE job_id = $1 AND state = 'Scheduled'", id) > 0, application, "workers");
        if (cancel)
            (await client.PostAsync($"/v1/jobs/{id}/cancel", null, Cancelled)).EnsureSuccessStatusCode();
        else
            await database.ExecuteAsync("UPDATE aiaspire.jobs SET deadline = now(), available_at = now() WHERE job_id = $1 AND state = 'Scheduled'", id);

        var job = await client.OverAsync(id, application);

        Assert.Equal(status, job.Status());
        var paid = await database.ScalarAsync<decimal>("SELECT sum(cost) FROM aiaspire.job_parts WHERE work_id = $1", id);
        Assert.True(paid > 0);
        Assert.Equal(paid, job.GetProperty("cost_usd").GetDecimal());

        Task<long> PartsAsync() => database.ScalarAsync<long>("SELECT count(*) FROM aiaspire.job_parts WHERE work_id = $1", id);
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
