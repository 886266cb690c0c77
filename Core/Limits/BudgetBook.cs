using System.Collections.Concurrent;
using AiAspire.Core.Data;
using Microsoft.EntityFrameworkCore;

namespace AiAspire.Core.Limits;

/// <summary>
/// The budgets that hold for a tenant: its own and the platform's. Kept in memory until one changes anywhere (<see cref="Topic"/>), and
/// at most as long as the change feed's poll.
/// </summary>
public sealed class BudgetBook(TenantSessions sessions)
{
    public const string Topic = "budgets";

    private const int MaxCached = 50_000;
    private readonly ConcurrentDictionary<Guid, IReadOnlyList<Budget>> _byTenant = new();
    private long _drops;

    public ValueTask<IReadOnlyList<Budget>> OfAsync(Guid tenantId, CancellationToken cancellationToken)
        => _byTenant.TryGetValue(tenantId, out var known) ? ValueTask.FromResult(known) : LoadAsync(tenantId, cancellationToken);

    /// <summary>The change feed's refresh: what is asked for next is read anew.</summary>
    public Task DropAsync(CancellationToken cancellationToken)
    {
        Interlocked.Increment(ref _drops);
        _byTenant.Clear();
        return Task.CompletedTask;
    }

    internal void Hold(Guid tenantId, params IReadOnlyList<Budget> budgets) => _byTenant[tenantId] = budgets;

    private async ValueTask<IReadOnlyList<Budget>> LoadAsync(Guid tenantId, CancellationToken cancellationToken)
    {
        var drops = Interlocked.Read(ref _drops);
        var budgets = await sessions.Open(new TenantScope(tenantId, null, DataReach.Service)).RunAsync(
            (db, token) => db.Budgets.AsNoTracking().OrderBy(b => b.BudgetId).ToListAsync(token), cancellationToken);
        if (_byTenant.Count >= MaxCached)
            _byTenant.Clear();
        _byTenant[tenantId] = budgets;
        // Changed while it was being read: used once, and not kept.
        if (Interlocked.Read(ref _drops) != drops)
            _byTenant.TryRemove(tenantId, out _);
        return budgets;
    }
}
