using AiAspire.Integration.Admin;
using AiAspire.Integration.Application;
using Npgsql;

namespace AiAspire.Integration.Jobs;

/// <summary>The claim itself, of jobs whose kind no worker has a handler for.</summary>
[Collection(ApplicationCollection.Name)]
public sealed class ClaimTests(RunningApplication application)
{
    private const string ClaimSql =
        "SELECT * FROM aiaspire.claim_jobs('test', ARRAY[$1], $2, interval '1 minute', 64, 7, '00000000-0000-0000-0000-000000000000', $3, NULL, NULL, NULL, NULL)";

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    [Trait("Checklist", "LOAD-08")]
    public async Task A_worker_that_hangs_while_its_claim_is_answered_holds_up_no_other()
    {
        // More than the buffers between the two take in.
        const int PayloadBytes = 32 << 20;
        using var tenant = await AdministeredTenant.CreateAsync(application);
        await using var superuser = await application.OpenSuperuserAsync();
        await AddAsync(superuser, tenant.Id, "test.large", priority: 5, secondsAgo: 0, PayloadBytes);
        await AddAsync(superuser, tenant.Id, "test.small", priority: 5, secondsAgo: 0);
        try
        {
            await using var hung = await application.OpenAsAsync("aiaspire_app");
            await using var other = await application.OpenAsAsync("aiaspire_app");
            await using var claim = Claim(hung, "test.large", most: 1);
            // Takes nothing in but the first of what is sent.
            await using var answer = await claim.ExecuteReaderAsync(System.Data.CommandBehavior.SequentialAccess, Cancelled);

            await other.ExecuteAsync("SET lock_timeout = '10s'");
            await using var next = Claim(other, "test.small", most: 1);
            await using var taken = await next.ExecuteReaderAsync(Cancelled);

            Assert.True(await taken.ReadAsync(Cancelled));
        }
        finally
        {
            await superuser.ExecuteAsync("DELETE FROM aiaspire.jobs WHERE tenant_id = $1", tenant.Id);
        }
    }

    [Fact]
    [Trait("Checklist", "LOAD-08")]
    public async Task A_payload_is_given_to_who_has_the_lease_and_to_nobody_else()
    {
        using var tenant = await AdministeredTenant.CreateAsync(application);
        await using var superuser = await application.OpenSuperuserAsync();
        var id = await AddAsync(superuser, tenant.Id, "test.payload", priority: 5, secondsAgo: 0, payloadBytes: 3);
        try
        {
            await using var app = await application.OpenAsAsync("aiaspire_app");
            await using (var claim = Claim(app, "test.payload", most: 1))
                await claim.ExecuteNonQueryAsync(Cancelled);
            var (user, lease) = Assert.Single(await superuser.ListAsync("SELECT user_id, lease_token FROM aiaspire.jobs WHERE job_id = $1", r => (r.GetGuid(0), r.GetGuid(1)), id));

            Assert.Equal(new byte[3], Assert.Single(await PayloadsAsync(lease)));
            Assert.Empty(await PayloadsAsync(id));

            Task<List<byte[]>> PayloadsAsync(Guid by) => app.ListAsync(
                "SELECT payload FROM aiaspire.job_payloads(ARRAY[$1], ARRAY[$2], ARRAY[$3], ARRAY[$4])", r => r.GetFieldValue<byte[]>(0), tenant.Id, user, id, by);
        }
        finally
        {
            await superuser.ExecuteAsync("DELETE FROM aiaspire.jobs WHERE tenant_id = $1", tenant.Id);
        }
    }

    [Fact]
    [Trait("Checklist", "LOAD-08")]
    public async Task A_tenants_urgent_jobs_come_first_and_its_oldest_have_their_turn_too()
    {
        const string Kind = "test.priority";
        using var tenant = await AdministeredTenant.CreateAsync(application);
        await using var superuser = await application.OpenSuperuserAsync();
        await using var app = await application.OpenAsAsync("aiaspire_app");
        try
        {
            // Another user's batch, older than everything, behind urgent jobs that keep coming.
            var batch = await AddAsync(superuser, tenant.Id, Kind, priority: 9, secondsAgo: 100);
            var urgent = new List<Guid>();
            for (var i = 0; i < 6; i++)
                urgent.Add(await AddAsync(superuser, tenant.Id, Kind, priority: (short)(i % 2 == 0 ? 5 : 0), secondsAgo: 50 - i));

            // Priority 0 in the order of time, then 5.
            Assert.Equal([urgent[1]], await TakenAsync(1, oldestFirst: false));
            Assert.Equal(new[] { urgent[3], urgent[5] }.Order(), (await TakenAsync(2, oldestFirst: false)).Order());
            Assert.Equal([urgent[0]], await TakenAsync(1, oldestFirst: false));
            Assert.Equal([batch], await TakenAsync(1, oldestFirst: true));
            Assert.Equal([urgent[2]], await TakenAsync(1, oldestFirst: true));
            Assert.Equal([urgent[4]], await TakenAsync(8, oldestFirst: true));
        }
        finally
        {
            await superuser.ExecuteAsync("DELETE FROM aiaspire.jobs WHERE tenant_id = $1", tenant.Id);
        }

        async Task<List<Guid>> TakenAsync(int most, bool oldestFirst)
        {
            var ids = new List<Guid>();
            await using var claim = Claim(app, Kind, most, oldestFirst);
            await using var reader = await claim.ExecuteReaderAsync(Cancelled);
            while (await reader.ReadAsync(Cancelled))
                ids.Add(reader.GetGuid(reader.GetOrdinal("job_id")));
            return ids;
        }
    }

    private static async Task<Guid> AddAsync(NpgsqlConnection superuser, Guid tenant, string kind, short priority, int secondsAgo, int payloadBytes = 1)
    {
        var id = Guid.CreateVersion7(TimeProvider.System.GetUtcNow());
        await superuser.ExecuteAsync(
            """
            INSERT INTO aiaspire.jobs (tenant_id, user_id, job_id, kind, state, priority, available_at, created_at, max_tries, payload,
                tries, failures, snoozes, lost_leases, cancel_requested)
            VALUES ($1, $2, $3, $4, 'Queued', $5, now() - make_interval(secs => $6), now(), 1, decode(repeat('00', $7), 'hex'), 0, 0, 0, 0, false)
            """,
            tenant, id, id, kind, priority, secondsAgo, payloadBytes);
        return id;
    }

    private static NpgsqlCommand Claim(NpgsqlConnection connection, string kind, int most, bool oldestFirst = false)
        => new(ClaimSql, connection) { Parameters = { new() { Value = kind }, new() { Value = most }, new() { Value = oldestFirst } } };
}
