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
        var (waiting, shared, dead, running, over) = (aged.Id(), aged.Id(), aged.Id(), aged.Id(), aged.Id());
        await aged.AddJobAsync(waiting);
        await aged.AddJobAsync(aged.Id(), partOf: shared);
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
}
