using System.Net.Http.Json;
using System.Text.Json;
using AiAspire.Core.Data;
using AiAspire.Integration.Admin;
using AiAspire.Integration.Application;
using AiAspire.Integration.Jobs;
using AiAspire.Integration.Notifications;
using AiAspire.Load.Batches;
using Aspire.Hosting.Testing;
using static AiAspire.Integration.Batches.BatchChecks;

namespace AiAspire.Integration.Batches;

/// <summary>Batches whose workers die or whose own job is given up.</summary>
[Collection(ApplicationCollection.Name)]
public sealed class BatchRecoveryTests(RunningApplication application)
{
    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    [Trait("Checklist", "LOAD-08")]
    public async Task A_worker_killed_in_the_middle_of_a_batch_loses_no_line_and_charges_none_twice()
    {
        await using var slow = await application.BehaveAsync("sim-reasoning", new { latency = new { kind = "fixed", ms = 400 } });
        var run = new BatchRun(application.Api, application.DeveloperKey, TimeProvider.System);
        var file = BatchFile.Make(lines: 300, badEvery: 0, "sim-reasoning");
        var operation = await run.StartAsync(file.Content, ChatCompletions, Cancelled);
        await using var database = await application.OpenSuperuserAsync();
        foreach (var (replica, done) in new[] { (0, 20), (1, 80) })
        {
            await application.PartsAsync(operation.BatchId, done);
            // It comes back by itself, and is not waited for: the other could be through with the batch by then.
            await application.App.KillResourceAsync("workers", replica, Cancelled);
        }

        foreach (var replica in new[] { 0, 1 })
            await application.App.StartResourceAsync("workers", replica, Cancelled);
        var outcome = await run.OutcomeAsync(operation, Limit, Cancelled);

        Assert.Empty(outcome.Faults(file));
        await application.ChargedOnceAsync(outcome);
        Assert.True(
            await database.ScalarAsync<bool>("SELECT sum(tries) > count(*) FROM aiaspire.job_history WHERE part_of = $1 AND kind = 'batch.lines'", outcome.Id()), "no job was taken over: nothing was tested");
        await database.ExecuteAsync("UPDATE aiaspire.ledger_attempts SET outcome = 'Abandoned', usage_source = 'Estimate' WHERE outcome = 'Open'");
    }

    [Fact]
    [Trait("Checklist", "LOAD-08")]
    public async Task A_part_is_kept_once_by_who_has_the_lease()
    {
        await using var slow = await application.BehaveAsync("sim-reasoning", new { latency = new { kind = "fixed", ms = 10_000 } });
        using var client = application.Developer();
        var job = await client.QueueChatAsync("say exactly: held", "sim-reasoning");
        await application.ReplicaOfAsync(job);
        await using var superuser = await application.OpenSuperuserAsync();
        var (tenant, user, lease) = Assert.Single(await superuser.ListAsync(
            "SELECT tenant_id, user_id, lease_token FROM aiaspire.jobs WHERE job_id = $1", r => (r.GetGuid(0), r.GetGuid(1), r.GetGuid(2)), job));
        var (work, first, second) = (TimeProvider.System.NewId(), TimeProvider.System.NewId(), TimeProvider.System.NewId());

        Assert.Null(await KeepAsync(lease, first));
        // The same settlement once more, its answer having been lost; another call's; a stranger's.
        Assert.Null(await KeepAsync(lease, first));
        Assert.Equal("AI003", await KeepAsync(lease, second));
        Assert.Equal("AI001", await KeepAsync(TimeProvider.System.NewId(), first));
        Assert.Equal(first, await superuser.ScalarAsync<Guid>("SELECT request_id FROM aiaspire.job_parts WHERE work_id = $1", work));
        await superuser.ExecuteAsync("DELETE FROM aiaspire.job_parts WHERE work_id = $1", work);
        await client.OverAsync(job, application);

        async Task<string?> KeepAsync(Guid token, Guid request)
        {
            await using var app = await application.OpenAsAsync("aiaspire_app");
            await using var transaction = await app.BeginTransactionAsync(Cancelled);
            await app.ExecuteAsync("SELECT set_config('app.tenant_id', $1, true), set_config('app.user_id', $2, true), set_config('app.reach', 'user', true)", tenant.ToString(), user.ToString());
            try
            {
                await app.ExecuteAsync("SELECT aiaspire.keep_part($1, $2, $3, $4, $5, 7, $6, true, 0, 'x'::bytea)", tenant, user, job, token, work, request);
                await transaction.CommitAsync(Cancelled);
                return null;
            }
            catch (Npgsql.PostgresException e)
            {
                return e.SqlState;
            }
        }
    }

    [Fact]
    public async Task A_batch_whose_own_job_is_given_up_fails_and_delivers_what_it_has_when_the_job_is_driven_again()
    {
        await using var slow = await application.BehaveAsync("sim-reasoning", new { latency = new { kind = "fixed", ms = 500 } });
        using var tenant = await AdministeredTenant.CreateAsync(application);
        await using var receiver = new WebhookReceiver();
        await tenant.PutAsync("notifications", new { emails = Array.Empty<string>(), webhooks = new object[] { new { url = receiver.Address, topics = new[] { "batch.completed", "batch.failed" } } } });
        using var user = tenant.As("ann");
        var file = await user.UploadAsync(Lines(ChatCompletions, [.. Enumerable.Range(0, 100).Select(i => new { model = "sim-reasoning", max_tokens = 16, messages = new[] { new { role = "user", content = $"say exactly: {i}" } } })]));
        using var made = await user.PostAsJsonAsync("/v1/batches", new { input_file_id = file, endpoint = ChatCompletions, completion_window = "24h" }, Cancelled);
        var batch = (await made.JsonAsync()).GetProperty("id").GetString()!;
        var id = IdOf(batch);
        await application.PartsAsync(batch, 10);
        await using var database = await application.OpenSuperuserAsync();
        // As if worker after worker had died with it.
        await Wait.UntilAsync(
            "the batch's own job to wait",
            async () => await database.ExecuteAsync("UPDATE aiaspire.jobs SET lost_leases = 1000, state = 'Queued', available_at = now() WHERE part_of = $1 AND kind = 'batch' AND state = 'Scheduled'", id) == 1,
            application,
            "workers");

        var failed = await EndAsync("failed");

        Assert.Equal("batch_given_up", failed.GetProperty("errors").GetProperty("data")[0].GetProperty("code").GetString());
        Assert.Equal(JsonValueKind.Number, failed.GetProperty("failed_at").ValueKind);
        Assert.True(failed.GetProperty("request_counts").GetProperty("completed").GetInt32() >= 10, failed.GetRawText());
        Assert.Equal("batch.failed", JsonElement.Parse((await receiver.NextAsync()).Body).GetProperty("type").GetString());
        // No more is spent on it.
        await Wait.UntilAsync(
            "the jobs of its lines to end", async () => await database.ScalarAsync<long>("SELECT count(*) FROM aiaspire.jobs WHERE part_of = $1", id) == 0, application, "workers");
        var answered = await database.ScalarAsync<long>("SELECT count(*) FROM aiaspire.job_parts WHERE work_id = $1", id);
        Assert.InRange(answered, 10, 90);

        using var admin = tenant.As("boss", "tenant_admin");
        using var redriven = await admin.PostAsync("/v1/admin/jobs/dead-letters/redrive", null, Cancelled);
        Assert.Equal(1, (await redriven.JsonAsync()).GetProperty("redriven").GetInt32());
        var completed = await EndAsync("completed");

        Assert.Equal(JsonValueKind.Null, completed.GetProperty("errors").ValueKind);
        var (output, errors) = (await LinesAsync("output_file_id"), await LinesAsync("error_file_id"));
        Assert.Equal(answered, output.Count);
        Assert.All(errors, l => Assert.Equal("not_processed", l.GetProperty("error").GetProperty("code").GetString()));
        Assert.Equal(100, output.Concat(errors).Select(l => l.GetProperty("custom_id").GetString()).Distinct().Count());
        Assert.Equal(answered, await database.ScalarAsync<long>("SELECT count(*) FROM aiaspire.ledger_requests WHERE tenant_id = $1 AND charged_cost > 0", tenant.Id));
        Assert.Equal("batch.completed", JsonElement.Parse((await receiver.NextAsync()).Body).GetProperty("type").GetString());

        async Task<JsonElement> EndAsync(string status) => (JsonElement)await Wait.ForAsync(
            $"the batch to be {status}",
            async () => await user.GetFromJsonAsync<JsonElement>($"/v1/batches/{batch}", Cancelled) is var now && now.Status() == status ? (object)now : null,
            application,
            "workers");

        async Task<List<JsonElement>> LinesAsync(string name)
            => [.. (await user.GetStringAsync($"/v1/files/{completed.GetProperty(name).GetString()}/content", Cancelled)).Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(l => JsonElement.Parse(l))];
    }
}
