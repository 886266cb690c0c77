using AiAspire.Core.Audit;
using AiAspire.Integration.Application;
using Npgsql;

namespace AiAspire.Integration.Encryption;

/// <summary>Operations on keys and the audit log.</summary>
[Collection(ApplicationCollection.Name)]
[Trait("Checklist", "PRIV-04")]
public sealed class KeyAuditTests(RunningApplication application) : OwnKeyStoreTests(application)
{
    [Fact]
    [Trait("Checklist", "CONV-08")]
    public async Task Each_operation_on_keys_stands_in_the_chain_it_belongs_to_before_and_after()
    {
        var (master, tenant, user) = (MasterKey(), Id(), Id());
        await using var content = await Application.OpenSuperuserAsync();
        await using (var replica = Replica(("MasterKey", master)))
        {
            await replica.Users.GetAsync(tenant, user, Cancelled);
            await replica.Rotation.RotateUserKeyAsync(tenant, user, AuditActor.User(user), Cancelled);
            await replica.Rotation.RotateTenantKeyAsync(tenant, Cancelled);
            await replica.Users.DestroyAsync(tenant, user, AuditActor.Operator(tenant), Cancelled);
        }

        Assert.Equal(
            [
                "user_key.create intent", "tenant_key.create intent", "tenant_key.create done", "user_key.create done",
                "user_key.rotate intent", "user_key.rotate done",
                "tenant_key.rotate intent", "tenant_key.rotate done", "user_keys.rewrap intent", "user_keys.rewrap done",
                "user_key.destroy intent", "user_key.destroy done",
            ],
            await EntriesAsync(content, tenant, since: 0));
        Assert.Equal("operator", await content.ScalarAsync<string>("SELECT actor_kind FROM aiaspire.audit_entries WHERE tenant_id = $1 ORDER BY sequence DESC LIMIT 1", tenant));
        Assert.Equal("2", await content.ScalarAsync<string>("SELECT details->>'versions' FROM aiaspire.audit_entries WHERE tenant_id = $1 ORDER BY sequence DESC LIMIT 1", tenant));

        // A new master key: once for the platform, however many replicas see it, and once for each tenant whose key it wraps.
        var platform = new Guid("00000000-0000-7000-8000-000000000001");
        var before = await content.ScalarAsync<long>("SELECT max(sequence) FROM aiaspire.audit_entries WHERE tenant_id = $1", tenant);
        var newKey = MasterKey();
        await using var one = Replica(("MasterKey", newKey), ("PreviousMasterKeys:0", master));
        await using var two = Replica(("MasterKey", newKey), ("PreviousMasterKeys:0", master));
        await Task.WhenAll(one.StartAsync(), two.StartAsync());
        Assert.Equal(2, await one.Rotation.RewrapAsync(cancellationToken: Cancelled));
        Assert.Equal(
            ["tenant_key.rewrap intent", "tenant_key.rewrap done", "tenant_key.rewrap intent", "tenant_key.rewrap done"],
            await EntriesAsync(content, tenant, before));
        var current = await one.MasterKey.CurrentKeyIdAsync(Cancelled);
        Assert.Equal(
            ["master_key.changed", "master_key.rewrap done", "master_key.rewrap intent"],
            (await content.ListAsync(
                "SELECT action || coalesce(' ' || (details->>'phase'), '') FROM aiaspire.audit_entries WHERE tenant_id = $1 AND target_id = $2", row => row.GetString(0), platform, current)).Order(StringComparer.Ordinal));

        // A restored backup: the replay destroys the key again, and says so.
        await using (var superuser = await OpenSuperuserAsync())
        {
            await superuser.ExecuteAsync(
                "INSERT INTO keystore.user_keys SELECT tenant_id, $2, 1, wrapped_key, 1, now(), now() FROM keystore.tenant_keys WHERE tenant_id = $1 AND key_version = 1", tenant, user);
        }

        Assert.Equal(1, await two.ReplayAsync());
        Assert.Equal(["tombstones.replay intent", "tombstones.replay done"], (await EntriesAsync(content, tenant, before)).TakeLast(2));
    }

    [Fact]
    [Trait("Checklist", "CONV-08")]
    public async Task Without_an_entry_nothing_is_done_to_keys_and_a_failure_is_told_too()
    {
        var (master, tenant, user) = (MasterKey(), Id(), Id());
        await using var superuser = await OpenSuperuserAsync();
        await using var content = await Application.OpenSuperuserAsync();
        await using var replica = Replica(("MasterKey", master));
        await replica.Users.GetAsync(tenant, user, Cancelled);
        var before = await content.ScalarAsync<long>("SELECT max(sequence) FROM aiaspire.audit_entries WHERE tenant_id = $1", tenant);
        var keys = await superuser.ScalarAsync<string>("SELECT string_agg(k::text, ',') FROM keystore.user_keys k");

        // Nobody listens on port 9 (discard).
        var nowhere = new NpgsqlConnectionStringBuilder(AppRole) { Port = 9, Timeout = 1 }.ConnectionString;
        await using (var unheard = Replica(nowhere, ("MasterKey", master)))
        {
            await Assert.ThrowsAnyAsync<Exception>(async () => await unheard.Users.GetAsync(tenant, Id(), Cancelled));
            await Assert.ThrowsAnyAsync<Exception>(() => unheard.Users.DestroyAsync(tenant, user, AuditActor.System, Cancelled));
            await Assert.ThrowsAnyAsync<Exception>(() => unheard.Rotation.RotateUserKeyAsync(tenant, user, AuditActor.System, Cancelled));
            await Assert.ThrowsAnyAsync<Exception>(() => unheard.Rotation.RotateTenantKeyAsync(tenant, Cancelled));
        }

        Assert.Equal(keys, await superuser.ScalarAsync<string>("SELECT string_agg(k::text, ',') FROM keystore.user_keys k"));
        Assert.False(await replica.Users.IsDestroyedAsync(tenant, user, Cancelled));

        await Assert.ThrowsAsync<InvalidOperationException>(() => replica.Rotation.RotateUserKeyAsync(tenant, Id(), AuditActor.System, Cancelled));
        Assert.Equal(["user_key.rotate intent", "user_key.rotate failed"], await EntriesAsync(content, tenant, before));
    }

    private static Task<List<string>> EntriesAsync(NpgsqlConnection content, Guid tenant, long since) => content.ListAsync(
        "SELECT action || ' ' || (details->>'phase') FROM aiaspire.audit_entries WHERE tenant_id = $1 AND sequence > $2 ORDER BY sequence", row => row.GetString(0), tenant, since);
}
