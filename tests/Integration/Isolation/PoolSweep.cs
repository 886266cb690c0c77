using AiAspire.Core.Data;
using AiAspire.Core.Tenancy;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;
using Npgsql;

namespace AiAspire.Integration.Isolation;

/// <summary>What a sweep saw.</summary>
/// <param name="Completed">Requests that read their rows.</param>
/// <param name="Cancelled">Requests that were given up: in the queue for a connection, in a statement, or amid its rows.</param>
/// <param name="Foreign">Rows of another tenant than the one that asked, and callers taken for one of another.</param>
internal sealed record SweepResult(int Completed, int Cancelled, long Foreign);

/// <summary>
/// Very many requests of two tenants at once over a small pool, every tenth given up at a random moment: whatever a connection or
/// a cache carries from one request to the next would show as rows of the other tenant. Statements name no tenant, so that nothing but
/// the database's own policies stands between the two; the users of both have the same names.
/// </summary>
internal sealed class PoolSweep : IAsyncDisposable
{
    public const int PoolSize = 8;
    public const int UsersPerTenant = 20;
    private const string Rows = "SELECT tenant_id FROM aiaspire.users";

    private readonly ServiceProvider _services;

    public PoolSweep(NpgsqlDataSource database)
    {
        var services = new ServiceCollection().AddLogging().AddSingleton(database);
        services.AddTenantSessions().AddTenancy();
        _services = services.BuildServiceProvider();
        Sessions = _services.GetRequiredService<TenantSessions>();
        var directory = _services.GetRequiredService<CallerDirectory>();
        Identify = (tenant, user, token) => directory.FromTokenAsync(tenant, user, [], token).AsTask();
        Open = caller => Sessions.Open(caller.Scope with { Reach = DataReach.TenantAdmin });
    }

    public TenantSessions Sessions { get; }

    /// <summary>Who a request is for, by the names of tenant and user; replaced to plant a bug.</summary>
    public Func<string, string, CancellationToken, Task<Caller>> Identify { get; set; }

    /// <summary>The session of a caller; replaced to plant a bug.</summary>
    public Func<Caller, TenantSession> Open { get; set; }

    public async Task<SweepResult> RunAsync(IReadOnlyList<(string Slug, Guid Id)> tenants, int requests)
    {
        var (completed, cancelled, foreign) = (0, 0, 0L);
        await Task.WhenAll(Enumerable.Range(0, requests).Select(n => Task.Run(async () =>
        {
            var random = new Random(n);
            var (slug, id) = tenants[random.Next(tenants.Count)];
            using var giveUp = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
            var when = random.Next(20);
            if (when == 0)
                giveUp.CancelAfter(random.Next(3_000));
            try
            {
                var caller = await Identify(slug, $"user-{random.Next(UsersPerTenant)}", giveUp.Token);
                if (caller.TenantId != id)
                    Interlocked.Increment(ref foreign);
                var session = Open(caller);
                var seen = random.Next(4) == 0
                    ? await ByContextAsync(session, when == 1 ? giveUp : null, TimeSpan.FromMilliseconds(random.Next(3)), giveUp.Token)
                    : await ByBatchAsync(session, when is 1 or 2 ? giveUp : null, random.Next(UsersPerTenant), giveUp.Token);
                Interlocked.Add(ref foreign, seen.LongCount(tenant => tenant != id));
                Interlocked.Increment(ref completed);
            }
            catch (OperationCanceledException) when (giveUp.IsCancellationRequested)
            {
                Interlocked.Increment(ref cancelled);
            }
        })));
        return new SweepResult(completed, cancelled, foreign);
    }

    public ValueTask DisposeAsync() => _services.DisposeAsync();

    private static Task<List<Guid>> ByContextAsync(TenantSession session, CancellationTokenSource? giveUp, TimeSpan after, CancellationToken cancellationToken)
        => session.RunAsync(
            async (db, token) =>
            {
                giveUp?.CancelAfter(after);
                if (giveUp is not null)
                    await db.Database.ExecuteSqlAsync($"SELECT pg_sleep(0.002)", token);
                return await db.Database.SqlQueryRaw<Guid>(Rows).ToListAsync(token);
            },
            cancellationToken);

    private static async Task<List<Guid>> ByBatchAsync(TenantSession session, CancellationTokenSource? giveUp, int afterRow, CancellationToken cancellationToken)
    {
        var seen = new List<Guid>();
        await session.QueryAsync(
            new NpgsqlBatchCommand(Rows),
            row =>
            {
                seen.Add(row.GetGuid(0));
                if (seen.Count == afterRow)
                    giveUp?.Cancel();
            },
            cancellationToken);
        return seen;
    }
}
