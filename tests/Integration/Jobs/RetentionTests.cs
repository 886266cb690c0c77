using AiAspire.Integration.Application;

namespace AiAspire.Integration.Jobs;

[Collection(ApplicationCollection.Name)]
public sealed class RetentionTests(RunningApplication application)
{
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
}
