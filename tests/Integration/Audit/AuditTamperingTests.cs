using AiAspire.Integration.Application;
using Npgsql;

namespace AiAspire.Integration.Audit;

/// <summary>What a superuser of the database can do to a chain, done, and found.</summary>
[Collection(ApplicationCollection.Name)]
[Trait("Checklist", "CONV-08")]
public sealed class AuditTamperingTests(RunningApplication application)
{
    private const int Length = 6;

    public static TheoryData<string, string, int> Tamperings => new()
    {
        { "UPDATE aiaspire.audit_entries SET action = 'nothing.happened' WHERE tenant_id = $1 AND sequence = 3", "altered", 3 },
        { "UPDATE aiaspire.audit_entries SET at = at - interval '1 microsecond' WHERE tenant_id = $1 AND sequence = 3", "altered", 3 },
        { "UPDATE aiaspire.audit_entries SET details = '{\"a\":1}' WHERE tenant_id = $1 AND sequence = 3", "altered", 3 },
        { "DELETE FROM aiaspire.audit_entries WHERE tenant_id = $1 AND sequence = 3", "missing", 3 },
        // The first entry goes, and the rest close ranks.
        { "DELETE FROM aiaspire.audit_entries WHERE tenant_id = $1 AND sequence = 1; UPDATE aiaspire.audit_entries SET sequence = 1 - sequence WHERE tenant_id = $1; UPDATE aiaspire.audit_entries SET sequence = -sequence WHERE tenant_id = $1", "unlinked", 1 },
        // Two change places.
        {
            "UPDATE aiaspire.audit_entries SET sequence = -4 WHERE tenant_id = $1 AND sequence = 4; UPDATE aiaspire.audit_entries SET sequence = 4 WHERE tenant_id = $1 AND sequence = 3; UPDATE aiaspire.audit_entries SET sequence = 3 WHERE tenant_id = $1 AND sequence = -4",
            "unlinked", 3
        },
        // One is put in, and the rest make room.
        {
            "UPDATE aiaspire.audit_entries SET sequence = -sequence - 1 WHERE tenant_id = $1 AND sequence >= 4; UPDATE aiaspire.audit_entries SET sequence = -sequence WHERE tenant_id = $1 AND sequence < 0; INSERT INTO aiaspire.audit_entries SELECT tenant_id, 4, gen_random_uuid(), at, actor_kind, actor_id, 'forged.entry', target_kind, target_id, request_id, details, hash, hash FROM aiaspire.audit_entries WHERE tenant_id = $1 AND sequence = 3",
            "altered", 4
        },
        // The tail goes, and the database's own head with it: only the head outside tells.
        {
            "DELETE FROM aiaspire.audit_entries WHERE tenant_id = $1 AND sequence > 4; UPDATE aiaspire.audit_heads h SET sequence = 4, hash = e.hash FROM aiaspire.audit_entries e WHERE h.tenant_id = $1 AND e.tenant_id = $1 AND e.sequence = 4",
            "truncated", 5
        },
        // Everything goes.
        { "DELETE FROM aiaspire.audit_entries WHERE tenant_id = $1; DELETE FROM aiaspire.audit_heads WHERE tenant_id = $1", "truncated", 1 },
    };

    [Theory]
    [MemberData(nameof(Tamperings))]
    public async Task A_tampered_chain_is_found_and_where(string sql, string fault, int sequence)
    {
        using var chain = await AuditChain.CreateAsync(application);
        await chain.GrowAsync(Length);
        await chain.SignedAsync(Length);
        await using (var superuser = await application.OpenSuperuserAsync())
        {
            foreach (var statement in sql.Split(';'))
                await superuser.ExecuteAsync(statement, chain.TenantId);
        }

        await chain.FindAsync(fault, sequence);
        // A wiped chain begins anew with that verification's own entry, and is still not the one that was signed.
        Assert.False((await chain.VerifyAsync()).GetProperty("intact").GetBoolean());
    }

    [Fact]
    public async Task A_chain_rewritten_with_good_hashes_is_not_the_signed_one()
    {
        using var chain = await AuditChain.CreateAsync(application);
        await chain.GrowAsync(Length);
        await chain.SignedAsync(Length);
        await using (var superuser = await application.OpenSuperuserAsync())
        {
            // Whoever may call the function as superuser makes a whole new chain that is flawless in itself.
            await superuser.ExecuteAsync("DELETE FROM aiaspire.audit_entries WHERE tenant_id = $1", chain.TenantId);
            await superuser.ExecuteAsync("DELETE FROM aiaspire.audit_heads WHERE tenant_id = $1", chain.TenantId);
            await using var transaction = await superuser.BeginTransactionAsync(TestContext.Current.CancellationToken);
            await superuser.ExecuteAsync("SELECT set_config('app.tenant_id', $1, true)", chain.TenantId.ToString());
            for (var i = 0; i < Length + 2; i++)
                await superuser.ExecuteAsync("SELECT aiaspire.append_audit(gen_random_uuid(), 'system', NULL, 'forged.entry', NULL, NULL, NULL, '{}')");
            await transaction.CommitAsync(TestContext.Current.CancellationToken);
        }

        var found = await chain.VerifyAsync();
        Assert.Equal("rewritten", found.GetProperty("fault").GetString());
    }

    [Fact]
    public async Task Heads_taken_out_of_the_file_are_missed_and_the_chain_is_signed_no_more_until_they_are_back()
    {
        using var chain = await AuditChain.CreateAsync(application);
        using var other = await AuditChain.CreateAsync(application);
        await chain.GrowAsync(Length);
        await chain.SignedAsync(Length);
        await Wait.UntilAsync(
            "the mark of the signed head",
            async () =>
            {
                await using var superuser = await application.OpenSuperuserAsync();
                return await superuser.ScalarAsync<long>("SELECT signed_sequence FROM aiaspire.audit_heads WHERE tenant_id = $1", chain.TenantId) == Length;
            },
            application,
            "api");

        var taken = await chain.EditHeadsAsync();
        Assert.NotEmpty(taken);
        await chain.FindAsync("heads_missing", 1);

        // Every replica passes by while both chains have grown; a new signature would hide that the old ones are gone.
        for (var round = 0; round < 3; round++)
        {
            await chain.GrowAsync(1);
            await other.GrowAsync(1);
            await other.SignedAsync(round + 1);
        }

        await chain.FindAsync("heads_missing", 1);

        await chain.EditHeadsAsync(putBack: taken);
        await chain.GrowAsync(1);
        await chain.SignedAsync(Length + 6);
        Assert.True((await chain.VerifyAsync()).GetProperty("intact").GetBoolean());
    }

    [Theory]
    [InlineData("UPDATE aiaspire.audit_entries SET action = 'x'")]
    [InlineData("DELETE FROM aiaspire.audit_entries")]
    [InlineData("INSERT INTO aiaspire.audit_entries SELECT * FROM aiaspire.audit_entries")]
    [InlineData("UPDATE aiaspire.audit_heads SET sequence = 0")]
    [InlineData("DELETE FROM aiaspire.audit_heads")]
    [InlineData("TRUNCATE aiaspire.audit_entries")]
    public async Task The_app_role_can_neither_change_nor_delete(string sql)
    {
        await using var app = await application.OpenAsAsync("aiaspire_app");
        var refused = await Assert.ThrowsAsync<PostgresException>(() => app.ExecuteAsync(sql));
        Assert.Equal(PostgresErrorCodes.InsufficientPrivilege, refused.SqlState);
    }

    [Fact]
    public async Task Without_a_tenant_nothing_can_be_appended()
    {
        await using var app = await application.OpenAsAsync("aiaspire_app");
        var refused = await Assert.ThrowsAsync<PostgresException>(
            () => app.ExecuteAsync("SELECT aiaspire.append_audit(gen_random_uuid(), 'system', NULL, 'x', NULL, NULL, NULL, '{}')"));
        Assert.Equal(PostgresErrorCodes.InsufficientPrivilege, refused.SqlState);
    }
}
