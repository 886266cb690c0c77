using System.Security.Cryptography;
using System.Text;
using AiAspire.Core.Audit;
using AiAspire.Core.Encryption;
using AiAspire.Integration.Application;
using Microsoft.AspNetCore.DataProtection;
using Npgsql;

namespace AiAspire.Integration.Encryption;

/// <summary>Rotation of keys on all three levels, and their first use.</summary>
[Collection(ApplicationCollection.Name)]
[Trait("Checklist", "PRIV-04")]
public sealed class KeyRotationTests(RunningApplication application) : OwnKeyStoreTests(application)
{
    private static readonly ContentPlace Place = new("messages", "content", Id());

    [Fact]
    public async Task Every_tenant_key_moves_to_a_new_master_key_in_batches_and_a_stopped_run_goes_on()
    {
        var (oldKey, newKey) = (MasterKey(), MasterKey());
        var contents = new List<(Guid Tenant, Guid User, byte[] Box)>();
        await using (var before = Replica(("MasterKey", oldKey)))
        {
            for (var i = 0; i < 7; i++)
            {
                var (tenant, user) = (Id(), Id());
                contents.Add((tenant, user, (await before.Users.GetAsync(tenant, user, Cancelled)).Encrypt("text"u8, Place)));
            }

            await before.Users.DestroyAsync(Id(), Id(), AuditActor.System, Cancelled);
            Assert.Equal(0, await before.Rotation.RewrapAsync(cancellationToken: Cancelled));
        }

        // One tenant's key does not open: the others move, it is named, and the next run ends what is left.
        await using var superuser = await OpenSuperuserAsync();
        var broken = contents[3].Tenant;
        await superuser.ExecuteAsync("UPDATE keystore.tenant_keys SET wrapped_key = set_byte(wrapped_key, 20, get_byte(wrapped_key, 20) # 1) WHERE tenant_id = $1", broken);
        await using (var both = Replica(("MasterKey", newKey), ("PreviousMasterKeys:0", oldKey)))
        {
            var failure = await Assert.ThrowsAsync<InvalidOperationException>(() => both.Rotation.RewrapAsync(batchSize: 2, Cancelled));
            Assert.Contains(broken.ToString(), failure.Message, StringComparison.Ordinal);
            Assert.Equal(1, await superuser.ScalarAsync<long>(
                "SELECT count(*) FROM keystore.tenant_keys WHERE master_key_id <> $1", await both.MasterKey.CurrentKeyIdAsync(Cancelled)));
            await superuser.ExecuteAsync("UPDATE keystore.tenant_keys SET wrapped_key = set_byte(wrapped_key, 20, get_byte(wrapped_key, 20) # 1) WHERE tenant_id = $1", broken);
            Assert.Equal(1, await both.Rotation.RewrapAsync(batchSize: 2, Cancelled));
        }

        // The old master key is needed for nothing any more, the tombstone file included.
        await using var after = Replica(("MasterKey", newKey));
        await after.StartAsync();
        foreach (var (tenant, user, box) in contents)
            Assert.Equal("text", Open(await after.Users.GetAsync(tenant, user, Cancelled), box));
        await using var late = Replica(("MasterKey", oldKey));
        await Assert.ThrowsAsync<InvalidOperationException>(async () => await late.Users.GetAsync(contents[0].Tenant, contents[0].User, Cancelled));
    }

    [Fact]
    public async Task A_rotated_user_key_encrypts_only_once_every_replica_has_read_it()
    {
        var master = MasterKey();
        var (tenant, user) = (Id(), Id());
        await using var first = Replica(("MasterKey", master));
        await using var deaf = Replica(("MasterKey", master));
        var old = (await first.Users.GetAsync(tenant, user, Cancelled)).Encrypt("old"u8, Place);
        await deaf.Users.GetAsync(tenant, user, Cancelled);
        Assert.Equal(1, ContentCipher.KeyVersionOf(old));

        Assert.Equal(2, await first.Rotation.RotateUserKeyAsync(tenant, user, AuditActor.System, Cancelled));
        // A replica that reads now knows the new version, and still writes what one with an older copy can read.
        await using var second = Replica(("MasterKey", master));
        var between = (await second.Users.GetAsync(tenant, user, Cancelled)).Encrypt("between"u8, Place);
        Assert.Equal(1, ContentCipher.KeyVersionOf(between));
        Assert.Equal("between", Open(await deaf.Users.GetAsync(tenant, user, Cancelled), between));

        // The time of the cache passes.
        await using (var superuser = await OpenSuperuserAsync())
        {
            var wait = await superuser.ScalarAsync<double>("SELECT extract(epoch FROM active_from - created_at)::float8 FROM keystore.user_keys WHERE key_version = 2 AND user_id = $1", user);
            Assert.Equal(65, wait);
            await superuser.ExecuteAsync("UPDATE keystore.user_keys SET active_from = now() WHERE user_id = $1", user);
        }

        await using var third = Replica(("MasterKey", master));
        var young = (await third.Users.GetAsync(tenant, user, Cancelled)).Encrypt("young"u8, Place);
        Assert.Equal(2, ContentCipher.KeyVersionOf(young));
        Assert.Equal("young", Open(await second.Users.GetAsync(tenant, user, Cancelled), young));
        Assert.Equal("old", Open(await third.Users.GetAsync(tenant, user, Cancelled), old));

        // Erasure takes all versions.
        await third.Users.DestroyAsync(tenant, user, AuditActor.System, Cancelled);
        await using var keys = await OpenSuperuserAsync();
        Assert.Equal(0, await keys.ScalarAsync<long>("SELECT count(*) FROM keystore.user_keys WHERE user_id = $1", user));
    }

    [Fact]
    public async Task A_rotated_tenant_key_seals_all_its_users_keys_and_content_stays_readable()
    {
        var master = MasterKey();
        var tenant = Id();
        await using var before = Replica(("MasterKey", master));
        var boxes = new List<(Guid User, byte[] Box)>();
        for (var i = 0; i < 5; i++)
        {
            var user = Id();
            boxes.Add((user, (await before.Users.GetAsync(tenant, user, Cancelled)).Encrypt("text"u8, Place)));
        }

        Assert.Equal(2, await before.Rotation.RotateTenantKeyAsync(tenant, Cancelled));
        Assert.Equal(0, await before.Rotation.RewrapUserKeysAsync(tenant, batchSize: 2, Cancelled));
        await using var superuser = await OpenSuperuserAsync();
        Assert.Equal(5, await superuser.ScalarAsync<long>("SELECT count(*) FROM keystore.user_keys WHERE tenant_id = $1 AND tenant_key_version = 2", tenant));
        await using var after = Replica(("MasterKey", master));
        foreach (var (user, box) in boxes)
            Assert.Equal("text", Open(await after.Users.GetAsync(tenant, user, Cancelled), box));
        await after.Users.GetAsync(tenant, Id(), Cancelled);
        Assert.Equal(6, await superuser.ScalarAsync<long>("SELECT count(*) FROM keystore.user_keys WHERE tenant_id = $1 AND tenant_key_version = 2", tenant));
    }

    [Fact]
    public async Task Of_many_first_uses_at_once_all_get_the_same_key_and_none_survives_an_erasure_among_them()
    {
        var master = MasterKey();
        var (tenant, user) = (Id(), Id());
        await using var one = Replica(("MasterKey", master));
        await using var two = Replica(("MasterKey", master));
        var ciphers = await Task.WhenAll(Enumerable.Range(0, 16).Select(i => (i % 2 == 0 ? one : two).Users.GetAsync(tenant, user, Cancelled).AsTask()));
        var box = ciphers[0].Encrypt("text"u8, Place);
        Assert.All(ciphers, cipher => Assert.Equal("text"u8, cipher.Decrypt(box, Place)));

        // From here on the key comes from memory, and costs none.
        await one.Users.GetAsync(tenant, user, Cancelled);
        var allocated = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < 1_000; i++)
            await one.Users.GetAsync(tenant, user, Cancelled);
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - allocated);

        await using var superuser = await OpenSuperuserAsync();
        for (var round = 0; round < 10; round++)
        {
            var other = Id();
            await Task.WhenAll(
                Task.WhenAll(Enumerable.Range(0, 8).Select(i => TryGetAsync(i % 2 == 0 ? one : two, tenant, other))),
                one.Users.DestroyAsync(tenant, other, AuditActor.System, Cancelled));
            Assert.Equal(0, await superuser.ScalarAsync<long>("SELECT count(*) FROM keystore.user_keys WHERE user_id = $1", other));
            await Assert.ThrowsAsync<UserKeyDestroyedException>(async () => await one.Users.GetAsync(tenant, other, Cancelled));
        }
    }

    [Fact]
    public async Task The_keys_role_sees_one_tenant_and_takes_no_tombstone_away()
    {
        var master = MasterKey();
        var (tenant, user) = (Id(), Id());
        await using var replica = Replica(("MasterKey", master));
        await replica.Users.GetAsync(tenant, user, Cancelled);
        await replica.Users.DestroyAsync(Id(), Id(), AuditActor.System, Cancelled);
        await using var keys = new NpgsqlConnection(KeysRole);
        await keys.OpenAsync(Cancelled);
        foreach (var table in new[] { "tenant_keys", "user_keys", "tombstones" })
            Assert.Equal(0, await keys.ScalarAsync<long>($"SELECT count(*) FROM keystore.{table}"));
        foreach (var sql in new[]
        {
            "DELETE FROM keystore.tombstones",
            "UPDATE keystore.tombstones SET destroyed_at = now()",
            "UPDATE keystore.user_keys SET user_id = tenant_id",
            "UPDATE keystore.user_keys SET key_version = 9",
            "DELETE FROM keystore.tenant_keys",
        })
            Assert.Equal(PostgresErrorCodes.InsufficientPrivilege, (await Assert.ThrowsAsync<PostgresException>(() => keys.ExecuteAsync(sql))).SqlState);
    }

    [Fact]
    [Trait("Checklist", "PROV-07")]
    public async Task Data_protection_keys_are_shared_sealed_and_follow_the_master_key()
    {
        var (master, newKey) = (MasterKey(), MasterKey());
        string cookie;
        await using (var one = Replica(("MasterKey", master)))
        await using (var two = Replica(("MasterKey", master)))
        {
            cookie = one.DataProtection.CreateProtector("cookies").Protect("who I am");
            Assert.Equal("who I am", two.DataProtection.CreateProtector("cookies").Unprotect(cookie));
        }

        // What lies in the database, and so in its dumps: the frame in the clear, the secret sealed.
        await using var superuser = await OpenSuperuserAsync();
        var xml = await superuser.ScalarAsync<string>("SELECT xml FROM keystore.data_protection_keys");
        Assert.Contains("<sealed id=", xml, StringComparison.Ordinal);
        Assert.DoesNotContain("<masterKey", xml, StringComparison.Ordinal);
        Assert.DoesNotContain("<value>", xml, StringComparison.Ordinal);

        await using (var both = Replica(("MasterKey", newKey), ("PreviousMasterKeys:0", master)))
            await both.Rotation.RewrapAsync(cancellationToken: Cancelled);
        Assert.NotEqual(xml, await superuser.ScalarAsync<string>("SELECT xml FROM keystore.data_protection_keys"));
        await using var after = Replica(("MasterKey", newKey));
        Assert.Equal("who I am", after.DataProtection.CreateProtector("cookies").Unprotect(cookie));
        await using var foreign = Replica(("MasterKey", MasterKey()));
        Assert.ThrowsAny<CryptographicException>(() => foreign.DataProtection.CreateProtector("cookies").Unprotect(cookie));

        // Reached only by saying so.
        await using var keys = new NpgsqlConnection(KeysRole);
        await keys.OpenAsync(Cancelled);
        Assert.Equal(0, await keys.ScalarAsync<long>("SELECT count(*) FROM keystore.data_protection_keys"));
    }

    private static string Open(ContentCipher cipher, byte[] box) => Encoding.UTF8.GetString(cipher.Decrypt(box, Place));

    private static async Task TryGetAsync(KeyStoreReplica replica, Guid tenant, Guid user)
    {
        try
        {
            await replica.Users.GetAsync(tenant, user, Cancelled);
        }
        catch (UserKeyDestroyedException)
        {
            // Came after the erasure.
        }
    }
}
