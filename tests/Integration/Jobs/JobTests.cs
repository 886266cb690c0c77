using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using AiAspire.Integration.Application;

namespace AiAspire.Integration.Jobs;

[Collection(ApplicationCollection.Name)]
public sealed class JobTests(RunningApplication application)
{
    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    [Trait("Checklist", "ARCH-01")]
    public async Task A_job_that_appears_behind_those_that_were_taken_is_found_too()
    {
        using var client = application.Developer();
        var late = (await client.QueueAsync(new { request = Wire.Chat("say exactly: late"), run_at = TimeProvider.System.GetUtcNow().AddHours(1) })).GetProperty("id").GetGuid();
        // A worker that has taken nothing looks at everything anyway.
        await using var slow = await application.BehaveAsync("sim-reasoning", new { latency = new { kind = "fixed", ms = 1000 } });
        var workers = new HashSet<int>();
        await Wait.UntilAsync(
            "both workers to have taken a job",
            async () =>
            {
                workers.Add(await application.ReplicaOfAsync(await client.QueueChatAsync("say exactly: first", "sim-reasoning")));
                return workers.Count == 2;
            },
            application,
            "workers");
        // As one whose transaction began an hour ago and commits now.
        await using (var database = await application.OpenSuperuserAsync())
            await database.ExecuteAsync("UPDATE aiaspire.jobs SET state = 'Queued', available_at = available_at - interval '2 hours' WHERE job_id = $1", late);

        Assert.Equal("late", (await client.OverAsync(late, application)).GetProperty("result").Content());
    }

    [Fact]
    [Trait("Checklist", "ARCH-01")]
    [Trait("Checklist", "OBS-16")]
    public async Task A_queued_completion_runs_in_a_worker_and_is_charged_once()
    {
        using var client = application.Developer();
        using var request = new HttpRequestMessage(HttpMethod.Post, "/v1/jobs") { Content = JsonContent.Create(new { request = Wire.Chat("say exactly: done later") }) };
        request.Headers.Add("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
        using var accepted = await client.SendAsync(request, Cancelled);
        Assert.Equal(HttpStatusCode.Accepted, accepted.StatusCode);
        var job = await client.OverAsync((await accepted.JsonAsync()).GetProperty("id").GetGuid(), application);
        Assert.Equal("succeeded", job.Status());
        Assert.Equal("done later", job.GetProperty("result").Content());
        await using var database = await application.OpenSuperuserAsync();
        var id = job.GetProperty("id").GetGuid();
        Assert.Equal(1, await database.ScalarAsync<long>("SELECT count(*) FROM aiaspire.ledger_requests WHERE conversation_id = $1 AND charged_cost > 0", id));
        Assert.Equal(
            job.GetProperty("cost_usd").GetDecimal(), await database.ScalarAsync<decimal>("SELECT charged_cost FROM aiaspire.ledger_requests WHERE conversation_id = $1", id));
        Assert.StartsWith(
            "00-0af7651916cd43dd8448eb211c80319c-", await database.ScalarAsync<string>("SELECT trace_parent FROM aiaspire.job_history WHERE job_id = $1", id), StringComparison.Ordinal);
        // The worker's own log lines are of that trace too.
        await Wait.UntilAsync(
            "the log line of the call",
            () => Task.FromResult(Aspire.Hosting.Testing.FaultExtensions.GetResourceLogs(application.App, "workers").Any(l => l.Contains("\"trace_id\":\"0af7651916cd43dd8448eb211c80319c\"", StringComparison.Ordinal)
                && l.Contains($"\"request_id\":\"{id}\"", StringComparison.Ordinal) && l.Contains("llm.call", StringComparison.Ordinal))),
            application,
            "workers");
        // Over, it is in the table that claims do not look at; what was asked is kept of failed jobs alone.
        Assert.Equal(0, await database.ScalarAsync<long>("SELECT count(*) FROM aiaspire.jobs WHERE job_id = $1", id));
        Assert.True(await database.ScalarAsync<bool>("SELECT payload IS NULL FROM aiaspire.job_history WHERE job_id = $1", id));
    }

    [Fact]
    public async Task What_cannot_succeed_is_refused_when_queued()
    {
        using var client = application.Developer();
        await RefusedAsync(new { request = Wire.Chat("x", "no-such-model") }, HttpStatusCode.NotFound, "model_not_found", "model");
        await RefusedAsync(new { kind = "juggling", request = Wire.Chat("x") }, HttpStatusCode.BadRequest, "invalid_value", "kind");
        await RefusedAsync(new { request = Wire.Chat("x"), priority = 10 }, HttpStatusCode.BadRequest, "invalid_value", "priority");
        await RefusedAsync(new { request = Wire.Chat("x"), deadline = "2020-01-01T00:00:00Z" }, HttpStatusCode.BadRequest, "invalid_value", "deadline");
        await RefusedAsync(new { request = Wire.Chat("x"), max_cost_usd = 0 }, HttpStatusCode.BadRequest, "invalid_value", "max_cost_usd");
        var error = await RefusedAsync(new { request = Wire.Chat(new string('x', 1_100_000)) }, HttpStatusCode.RequestEntityTooLarge, "payload_too_large", "request");
        Assert.Contains("1048576", error.GetProperty("message").GetString(), StringComparison.Ordinal);

        async Task<JsonElement> RefusedAsync(object job, HttpStatusCode status, string code, string field)
        {
            using var response = await client.PostAsJsonAsync("/v1/jobs", job, Cancelled);
            return await response.ErrorAsync(status, code, field);
        }
    }

    [Fact]
    public async Task Of_jobs_with_one_unique_key_one_waits()
    {
        using var client = application.Developer();
        var key = Guid.CreateVersion7(TimeProvider.System.GetUtcNow()).ToString();
        object Job() => new { request = Wire.Chat("x"), unique_key = key, run_at = TimeProvider.System.GetUtcNow().AddHours(1) };
        var jobs = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => client.QueueAsync(Job())));
        var id = Assert.Single(jobs.Select(j => j.GetProperty("id").GetGuid()).Distinct());
        using var cancelled = await client.PostAsync($"/v1/jobs/{id}/cancel", null, Cancelled);
        Assert.Equal("cancelled", (await cancelled.JsonAsync()).Status());

        var next = (await client.QueueAsync(Job())).GetProperty("id").GetGuid();

        Assert.NotEqual(id, next);
        (await client.PostAsync($"/v1/jobs/{next}/cancel", null, Cancelled)).Dispose();
    }

    [Fact]
    public async Task Jobs_are_listed_newest_first_waiting_ones_and_those_that_are_over()
    {
        using var client = application.Client(application.Token("acme", "lister"));
        var done = await client.QueueChatAsync("say exactly: one");
        await client.OverAsync(done, application);
        var later = (await client.QueueAsync(new { request = Wire.Chat("x"), run_at = TimeProvider.System.GetUtcNow().AddHours(1) })).GetProperty("id").GetGuid();

        Assert.Equal([later, done], await IdsAsync("/v1/jobs"));
        Assert.Equal([later], await IdsAsync("/v1/jobs?limit=1"));
        Assert.Equal([done], await IdsAsync($"/v1/jobs?limit=1&after={later}"));
        Assert.Equal([later], await IdsAsync("/v1/jobs?status=queued"));
        (await client.PostAsync($"/v1/jobs/{later}/cancel", null, Cancelled)).Dispose();
        Assert.Equal([later], await IdsAsync("/v1/jobs?status=cancelled"));

        async Task<Guid[]> IdsAsync(string path)
            => [.. (await client.GetFromJsonAsync<JsonElement>(path, Cancelled)).GetProperty("data").EnumerateArray().Select(j => j.GetProperty("id").GetGuid())];
    }

    /// <summary>A result may have 64 MiB, and a page shows a hundred jobs.</summary>
    [Fact]
    public async Task Only_who_asks_for_one_job_reads_its_result()
    {
        using var client = application.Developer();
        var key = Guid.CreateVersion7(TimeProvider.System.GetUtcNow()).ToString();
        var id = await KeyedAsync();
        await client.OverAsync(id, application);
        await using var database = await application.OpenSuperuserAsync();
        var others = await database.ScalarAsync<string>(
            "SELECT string_agg(quote_ident(attname), ', ') FROM pg_attribute WHERE attrelid = 'aiaspire.job_history'::regclass AND attnum > 0 AND NOT attisdropped AND attname <> 'result'");
        await database.ExecuteAsync("REVOKE SELECT ON aiaspire.job_history FROM aiaspire_app");
        try
        {
            await database.ExecuteAsync($"GRANT SELECT ({others}) ON aiaspire.job_history TO aiaspire_app");
            Assert.Equal(HttpStatusCode.InternalServerError, await StatusAsync($"/v1/jobs/{id}"));
            Assert.Equal(HttpStatusCode.OK, await StatusAsync("/v1/jobs?status=succeeded"));
            Assert.Equal(id, await KeyedAsync());
        }
        finally
        {
            await database.ExecuteAsync("REVOKE SELECT ON aiaspire.job_history FROM aiaspire_app");
            await database.ExecuteAsync("GRANT SELECT ON aiaspire.job_history TO aiaspire_app");
        }

        async Task<HttpStatusCode> StatusAsync(string path)
        {
            using var response = await client.GetAsync(path, Cancelled);
            return response.StatusCode;
        }

        async Task<Guid> KeyedAsync()
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, "/v1/jobs") { Content = JsonContent.Create(new { request = Wire.Chat("say exactly: heavy") }) };
            request.Headers.TryAddWithoutValidation("Idempotency-Key", key);
            using var response = await client.SendAsync(request, Cancelled);
            Assert.Equal(HttpStatusCode.Accepted, response.StatusCode);
            return (await response.JsonAsync()).GetProperty("id").GetGuid();
        }
    }

    [Fact]
    public async Task A_job_that_could_cost_more_than_its_ceiling_is_given_up_before_anything_is_spent()
    {
        using var client = application.Developer();
        var id = (await client.QueueAsync(new { request = Wire.Chat("x"), max_cost_usd = 0.000001m })).GetProperty("id").GetGuid();

        var job = await client.OverAsync(id, application);

        Assert.Equal(("failed", "cost_ceiling_exceeded"), (job.Status(), job.GetProperty("error").GetProperty("code").GetString()));
        Assert.Contains("max_tokens", job.GetProperty("error").GetProperty("message").GetString(), StringComparison.Ordinal);
        await using var database = await application.OpenSuperuserAsync();
        Assert.Equal(0, await database.ScalarAsync<long>("SELECT count(*) FROM aiaspire.ledger_requests WHERE conversation_id = $1", id));
    }

    [Fact]
    [Trait("Checklist", "COST-09")]
    public async Task A_wait_for_an_overloaded_provider_burns_no_try()
    {
        await using var busy = await application.BehaveAsync("sim-reasoning", new { errorCount = 4, errorStatus = 429, retryAfterSeconds = 1 });
        using var client = application.Developer();
        var id = (await client.QueueAsync(new { request = Wire.Chat("say exactly: at last", "sim-reasoning"), max_tries = 1 })).GetProperty("id").GetGuid();

        var job = await client.OverAsync(id, application);

        // One run makes three calls at most, so it takes two of them or more.
        Assert.Equal("succeeded", job.Status());
        Assert.True(job.GetProperty("tries").GetInt32() >= 2, "the first run had no reason to end well");
        await using var database = await application.OpenSuperuserAsync();
        Assert.Equal(0, await database.ScalarAsync<int>("SELECT failures FROM aiaspire.job_history WHERE job_id = $1", id));
        // Five calls, each with its attempt; one charge, one question and one answer.
        Assert.Equal(5, await database.ScalarAsync<long>(
            "SELECT count(*) FROM aiaspire.ledger_attempts a JOIN aiaspire.ledger_requests r USING (tenant_id, request_id) WHERE r.conversation_id = $1", id));
        Assert.Equal(1, await database.ScalarAsync<long>("SELECT count(*) FROM aiaspire.ledger_requests WHERE conversation_id = $1 AND charged_cost > 0", id));
        Assert.Equal(2, await database.ScalarAsync<long>("SELECT count(*) FROM aiaspire.messages WHERE conversation_id = $1", id));
    }

    [Fact]
    public async Task A_job_past_its_deadline_fails_even_while_it_runs()
    {
        await using var slow = await application.BehaveAsync("sim-reasoning", new { latency = new { kind = "fixed", ms = 20_000 } });
        using var client = application.Developer();
        var id = (await client.QueueAsync(new { request = Wire.Chat("x", "sim-reasoning"), deadline = TimeProvider.System.GetUtcNow().AddSeconds(2) })).GetProperty("id").GetGuid();

        var job = await client.OverAsync(id, application);

        Assert.Equal(("failed", "deadline_exceeded"), (job.Status(), job.GetProperty("error").GetProperty("code").GetString()));
    }
}
