using AiAspire.Integration.Admin;
using AiAspire.Integration.Application;
using Npgsql;

namespace AiAspire.Integration.Jobs;

[Collection(ApplicationCollection.Name)]
public sealed class RetentionTests(RunningApplication application)
{
    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    [Trait("Checklist", "CONV-04")]
    [Trait("Checklist", "PRIV-06")]
    public async Task Conversations_past_their_tenants_retention_are_deleted_with_their_messages_and_younger_ones_stay()
    {
        using var client = application.Developer();
        using var old = await client.ChatAsync("an old one");
        using var young = await client.ChatAsync("a young one");
        var (expired, kept) = (Guid.Parse(old.Header("x-aiaspire-conversation")), Guid.Parse(young.Header("x-aiaspire-conversation")));
        await using var database = await application.OpenSuperuserAsync();
        await database.ExecuteAsync("UPDATE aiaspire.conversations SET last_message_at = now() - interval '91 days' WHERE conversation_id = $1", expired);
        await database.ExecuteAsync("UPDATE aiaspire.conversations SET last_message_at = now() - interval '89 days' WHERE conversation_id = $1", kept);
        await Wait.UntilAsync(
            "retention to delete the old conversation",
            async () => await database.ScalarAsync<long>("SELECT count(*) FROM aiaspire.conversations WHERE conversation_id = $1", expired) == 0,
            application,
            "workers");
        Assert.Equal(0, await database.ScalarAsync<long>("SELECT count(*) FROM aiaspire.messages WHERE conversation_id = $1", expired));
        Assert.Equal(2, await database.ScalarAsync<long>("SELECT count(*) FROM aiaspire.messages WHERE conversation_id = $1", kept));
        // What was spent stays in the ledger: it holds no content.
        Assert.Equal(1, await database.ScalarAsync<long>("SELECT count(*) FROM aiaspire.ledger_requests WHERE conversation_id = $1", expired));
    }

    [Fact]
    [Trait("Checklist", "LOAD-08")]
    public async Task Parts_of_work_that_is_alive_or_can_be_driven_again_stay_however_old_they_are()
    {
        using var tenant = await AdministeredTenant.CreateAsync(application);
        var aged = new AgedRows(await application.OpenSuperuserAsync(), tenant.Id, await tenant.AddUserAsync("ann"));
        await using var database = aged.Database;
        var (waiting, shared, dead, running, over) = (AgedRows.Id(), AgedRows.Id(), AgedRows.Id(), AgedRows.Id(), AgedRows.Id());
        await aged.AddJobAsync(waiting);
        await aged.AddJobAsync(AgedRows.Id(), partOf: shared);
        await aged.AddFinishedAsync(dead, days: 1, "Failed");
        await aged.AddBatchAsync(running, days: 100, "InProgress");
        await aged.AddFinishedAsync(over, days: 1, "Cancelled");
        foreach (var work in new[] { waiting, shared, dead, running, over })
            await aged.AddPartAsync(work, days: 91);

        // The schedule calls the same.
        await database.ScalarAsync<long>("SELECT aiaspire.delete_expired_job_parts(1000)");

        Assert.Equal(
            new[] { waiting, shared, dead, running }.Order(),
            (await database.ListAsync("SELECT work_id FROM aiaspire.job_parts WHERE tenant_id = $1", r => r.GetGuid(0), tenant.Id)).Order());
        await database.ExecuteAsync("DELETE FROM aiaspire.jobs WHERE tenant_id = $1", tenant.Id);
        await database.ScalarAsync<long>("SELECT aiaspire.delete_expired_job_parts(1000)");
        Assert.Equal(
            new[] { dead, running }.Order(),
            (await database.ListAsync("SELECT work_id FROM aiaspire.job_parts WHERE tenant_id = $1", r => r.GetGuid(0), tenant.Id)).Order());
    }

    [Fact]
    [Trait("Checklist", "PRIV-06")]
    [Trait("Checklist", "CONV-04")]
    public async Task Jobs_events_parts_files_and_batches_past_their_time_go_as_the_dry_run_said_and_are_in_the_report()
    {
        using var tenant = await AdministeredTenant.CreateAsync(application);
        var aged = new AgedRows(await application.OpenSuperuserAsync(), tenant.Id, await tenant.AddUserAsync("ann"));
        await using var database = aged.Database;
        var retention = await database.ScalarAsync<int>("SELECT retention_days FROM aiaspire.tenants WHERE tenant_id = $1", tenant.Id);
        var (young, inUse, reading) = (retention - 1, AgedRows.Id(), AgedRows.Id());
        (long, long, long, long, long) counted;
        // Nobody sees the rows before they are all there: retention runs every two seconds.
        await using (var transaction = await database.BeginTransactionAsync(Cancelled))
        {
            // Kept: what is young though its id is old, and what is old and still in use.
            await aged.AddFinishedAsync(AgedRows.Id(retention + 10), young, "Succeeded");
            await aged.AddEventAsync(AgedRows.Id(2), hours: 23);
            await aged.AddJobAsync(inUse);
            await aged.AddPartAsync(inUse, retention + 1);
            await aged.AddPartAsync(AgedRows.Id(), young);
            await aged.AddFileAsync(reading, retention + 1);
            await aged.AddFileAsync(AgedRows.Id(), 0.2, ready: false);
            await aged.AddBatchAsync(AgedRows.Id(), retention + 1, "InProgress", reading);
            await aged.AddBatchAsync(AgedRows.Id(), young, "Completed");
            // Past their time.
            await aged.AddFinishedAsync(AgedRows.Id(retention + 10), retention + 1, "Succeeded");
            await aged.AddFinishedAsync(AgedRows.Id(retention + 10), retention + 1, "Failed");
            await aged.AddEventAsync(AgedRows.Id(2), hours: 25);
            await aged.AddPartAsync(AgedRows.Id(), retention + 1);
            await aged.AddFileAsync(AgedRows.Id(), retention + 1);
            await aged.AddFileAsync(AgedRows.Id(), 0.3, ready: false);
            await aged.AddBatchAsync(AgedRows.Id(), retention + 1, "Completed");

            counted = (await database.ListAsync(
                "SELECT jobs, job_events, job_parts, files, batches FROM aiaspire.expired_by_retention(interval '24 hours') WHERE tenant_id = $1",
                r => (r.GetInt64(0), r.GetInt64(1), r.GetInt64(2), r.GetInt64(3), r.GetInt64(4)),
                tenant.Id)).Single();
            await transaction.CommitAsync(Cancelled);
        }

        await Wait.UntilAsync(
            "retention to delete what is past its time",
            async () => await database.ScalarAsync<long>("SELECT count(*) FROM aiaspire.expired_by_retention(interval '24 hours') WHERE tenant_id = $1", tenant.Id) == 0,
            application,
            "workers");

        Assert.Equal((2, 1, 1, 2, 1), counted);
        Assert.Equal((1, 1, 2, 2, 2), await LeftAsync(database, tenant.Id));
        await Wait.UntilAsync(
            "a report of it",
            () => database.ScalarAsync<bool>(
                """
                SELECT count(*) > 0 FROM (
                    SELECT sum((report->>'jobs')::bigint) AS jobs, sum((report->>'job_events')::bigint) AS events, sum((report->>'job_parts')::bigint) AS parts,
                        sum((report->>'files')::bigint) AS files, sum((report->>'batches')::bigint) AS batches
                    FROM (SELECT report::jsonb AS report FROM aiaspire.schedule_runs
                        WHERE schedule = 'conversation-retention' AND state = 'Succeeded' AND started_at > now() - interval '5 minutes') r
                ) s WHERE jobs >= 2 AND events >= 1 AND parts >= 1 AND files >= 2 AND batches >= 1
                """),
            application,
            "workers");
    }

    private static async Task<(long Jobs, long Events, long Parts, long Files, long Batches)> LeftAsync(NpgsqlConnection database, Guid tenant) => (await database.ListAsync(
        """
        SELECT (SELECT count(*) FROM aiaspire.job_history h WHERE h.tenant_id = $1), (SELECT count(*) FROM aiaspire.job_events e WHERE e.tenant_id = $1),
            (SELECT count(*) FROM aiaspire.job_parts d WHERE d.tenant_id = $1), (SELECT count(*) FROM aiaspire.files f WHERE f.tenant_id = $1),
            (SELECT count(*) FROM aiaspire.batches b WHERE b.tenant_id = $1)
        """,
        r => (r.GetInt64(0), r.GetInt64(1), r.GetInt64(2), r.GetInt64(3), r.GetInt64(4)),
        tenant)).Single();
}
