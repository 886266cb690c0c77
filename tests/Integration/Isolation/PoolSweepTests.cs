using System.Collections.Concurrent;
using System.Diagnostics;
using AiAspire.Core.Data;
using AiAspire.Core.Tenancy;
using AiAspire.Integration.Application;

namespace AiAspire.Integration.Isolation;

/// <summary>The sweep over the real thing, and over three planted bugs, each of which it must see: a detector that sees nothing proves nothing.</summary>
[Collection(ApplicationCollection.Name)]
[Trait("Checklist", "AUTH-06")]
public sealed class PoolSweepTests(RunningApplication application) : IAsyncLifetime
{
    private const int Requests = 20_000;
    private const int RequestsToSeeABug = 1_000;

    private ScratchDatabase? _database;
    private List<(string Slug, Guid Id)> _tenants = [];

    public async ValueTask InitializeAsync()
    {
        _database = await ScratchDatabase.CreateAsync(application);
        await using var superuser = await _database.OpenSuperuserAsync();
        await superuser.ExecuteAsync(
            $"""
            INSERT INTO aiaspire.tenants (tenant_id, slug, name, plan, status, retention_days, created_at)
            VALUES ('{TenantScope.PlatformTenantId}', 'platform', 'Platform', 'none', 'Active', 90, now()),
                   (gen_random_uuid(), 'north', 'North', 'standard', 'Active', 90, now()), (gen_random_uuid(), 'south', 'South', 'standard', 'Active', 90, now());
            INSERT INTO aiaspire.tiers (tenant_id, name, models, features, default_max_output_tokens, is_default)
            VALUES ('{TenantScope.PlatformTenantId}', 'free', ARRAY['*'], ARRAY['*'], 1024, true);
            INSERT INTO aiaspire.users (tenant_id, user_id, external_id, tier, roles, status, pseudonym, created_at)
            SELECT t.tenant_id, gen_random_uuid(), 'user-' || n, 'free', ARRAY['user'], 'Active', gen_random_uuid(), now()
            FROM aiaspire.tenants t, generate_series(0, {PoolSweep.UsersPerTenant - 1}) n WHERE t.slug <> 'platform';
            """);
        _tenants = await superuser.ListAsync("SELECT slug, tenant_id FROM aiaspire.tenants WHERE slug <> 'platform'", row => (row.GetString(0), row.GetGuid(1)));
    }

    public async ValueTask DisposeAsync()
    {
        if (_database is not null)
            await _database.DisposeAsync();
    }

    [Fact]
    [Trait("Checklist", "AUTH-05")]
    public async Task Twenty_thousand_requests_over_eight_connections_see_no_foreign_row()
    {
        await using var database = await _database!.AppAsync(PoolSweep.PoolSize);
        await using var sweep = new PoolSweep(database);
        var started = Stopwatch.GetTimestamp();
        var result = await sweep.RunAsync(_tenants, Requests);
        var took = Stopwatch.GetElapsedTime(started);
        TestContext.Current.TestOutputHelper?.WriteLine($"{result} in {took.TotalSeconds:f1} s");
        Assert.Equal(0, result.Foreign);
        Assert.Equal(Requests, result.Completed + result.Cancelled);
        Assert.InRange(result.Completed, 5_000, Requests);
        Assert.InRange(result.Cancelled, 1_000, Requests);
    }

    [Theory]
    [InlineData("DROP POLICY own_user ON aiaspire.users; CREATE POLICY own_user ON aiaspire.users FOR SELECT TO aiaspire_app USING (true)")]
    [InlineData("DROP POLICY own_user ON aiaspire.users; ALTER TABLE aiaspire.users DISABLE ROW LEVEL SECURITY")]
    public async Task It_sees_a_dropped_policy(string bug)
    {
        await using (var superuser = await _database!.OpenSuperuserAsync())
            await superuser.ExecuteAsync(bug);
        await using var database = await _database.AppAsync(PoolSweep.PoolSize);
        await using var sweep = new PoolSweep(database);
        Assert.NotEqual(0, (await sweep.RunAsync(_tenants, RequestsToSeeABug)).Foreign);
    }

    [Fact]
    public async Task It_sees_a_tenant_that_is_kept_where_the_scope_is_set()
    {
        await using var database = await _database!.AppAsync(PoolSweep.PoolSize);
        await using var sweep = new PoolSweep(database);
        var kept = new ConcurrentDictionary<int, TenantSession>();
        var open = sweep.Open;
        sweep.Open = caller => kept.GetOrAdd(Environment.CurrentManagedThreadId, _ => open(caller));
        Assert.NotEqual(0, (await sweep.RunAsync(_tenants, RequestsToSeeABug)).Foreign);
    }

    [Fact]
    public async Task It_sees_a_cache_of_callers_whose_key_forgets_the_tenant()
    {
        await using var database = await _database!.AppAsync(PoolSweep.PoolSize);
        await using var sweep = new PoolSweep(database);
        var cache = new ConcurrentDictionary<string, Caller>(StringComparer.Ordinal);
        var identify = sweep.Identify;
        sweep.Identify = async (tenant, user, token) => cache.TryGetValue(user, out var known) ? known : cache.GetOrAdd(user, await identify(tenant, user, token));
        Assert.NotEqual(0, (await sweep.RunAsync(_tenants, RequestsToSeeABug)).Foreign);
    }
}
