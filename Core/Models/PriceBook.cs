using System.Collections.Frozen;
using AiAspire.Core.Audit;
using AiAspire.Core.Data;
using Microsoft.EntityFrameworkCore;

namespace AiAspire.Core.Models;

/// <summary>What came of changing a price.</summary>
public enum PriceChange
{
    Done,
    NotFound,

    /// <summary>It is or was in force, or is about to be: calls may have been charged by it.</summary>
    InForce,

    /// <summary>Another version begins at that very time.</summary>
    TimeTaken,
}

/// <summary>The prices in force, held in memory and read again whenever the table changes.</summary>
public sealed class PriceBook(TenantSessions sessions, TimeProvider time) : IDisposable
{
    public const string Topic = "model_prices";

    /// <summary>How long before its beginning a version is fixed: replicas learn of a change within a second, and clocks differ.</summary>
    public static readonly TimeSpan FixedBefore = TimeSpan.FromSeconds(10);

    /// <summary>One reading at a time: an older one must not overtake a newer.</summary>
    private readonly SemaphoreSlim _refreshing = new(1, 1);
    private volatile FrozenDictionary<(string Provider, string Model), ModelPrice[]> _prices =
        FrozenDictionary<(string, string), ModelPrice[]>.Empty;

    /// <summary>The price in force now, or null: then the model must not be called.</summary>
    public ModelPrice? Find(ModelTarget target)
    {
        if (!_prices.TryGetValue((target.Provider, target.UpstreamModel), out var versions))
            return null;
        var now = time.GetUtcNow();
        for (var i = versions.Length - 1; i >= 0; i--)
        {
            if (versions[i].EffectiveFrom <= now)
                return versions[i];
        }

        return null;
    }

    /// <summary>Every version of a model's price, the latest first.</summary>
    public Task<List<ModelPrice>> HistoryAsync(string provider, string upstreamModel, CancellationToken cancellationToken)
        => sessions.Open(TenantScope.Platform).RunAsync(
            (db, token) => db.ModelPrices.AsNoTracking().Where(p => p.Provider == provider && p.UpstreamModel == upstreamModel).OrderByDescending(p => p.EffectiveFrom).ToListAsync(token),
            cancellationToken);

    /// <summary>Adds a version.</summary>
    /// <param name="price">Not in the past.</param>
    /// <param name="entry">Committed to the platform's audit chain with the change.</param>
    /// <param name="inTheSame">Runs last in the transaction.</param>
    /// <param name="cancellationToken">Cancels.</param>
    public Task<PriceChange> AddAsync(ModelPrice price, AuditEvent entry, Func<AiAspireDb, CancellationToken, Task> inTheSame, CancellationToken cancellationToken)
        => ChangeAsync(
            async (db, token) =>
            {
                if (await TakenAsync(db, price, token))
                    return PriceChange.TimeTaken;
                db.ModelPrices.Add(price);
                return PriceChange.Done;
            },
            entry,
            inTheSame,
            cancellationToken);

    /// <summary>Replaces a version that is still to come, or withdraws it.</summary>
    /// <param name="provider">The model's provider.</param>
    /// <param name="upstreamModel">The provider's name of the model.</param>
    /// <param name="priceId">The version.</param>
    /// <param name="replacement">With the same id; null withdraws.</param>
    /// <param name="entry">Committed to the platform's audit chain with the change.</param>
    /// <param name="cancellationToken">Cancels.</param>
    public Task<PriceChange> CorrectAsync(
        string provider, string upstreamModel, Guid priceId, ModelPrice? replacement, AuditEvent entry, CancellationToken cancellationToken)
        => ChangeAsync(
            async (db, token) =>
            {
                var known = await db.ModelPrices.AsNoTracking().SingleOrDefaultAsync(p => p.PriceId == priceId && p.Provider == provider && p.UpstreamModel == upstreamModel, token);
                if (known is null)
                    return PriceChange.NotFound;
                if (replacement is not null && await TakenAsync(db, replacement, token))
                    return PriceChange.TimeTaken;
                // The database has the last word: its policy lets nobody delete what is in force (security.sql).
                if (known.EffectiveFrom <= time.GetUtcNow() + FixedBefore
                    || await db.ModelPrices.Where(p => p.TenantId == TenantScope.PlatformTenantId && p.PriceId == priceId).ExecuteDeleteAsync(token) == 0)
                    return PriceChange.InForce;
                if (replacement is not null)
                    db.ModelPrices.Add(replacement);
                return PriceChange.Done;
            },
            entry,
            static (_, _) => Task.CompletedTask,
            cancellationToken);

    public async Task RefreshAsync(CancellationToken cancellationToken)
    {
        await _refreshing.WaitAsync(cancellationToken);
        try
        {
            Hold(await sessions.Open(TenantScope.Platform).RunAsync((db, token) => db.ModelPrices.AsNoTracking().ToListAsync(token), cancellationToken));
        }
        finally
        {
            _refreshing.Release();
        }
    }

    public void Dispose() => _refreshing.Dispose();

    internal void Hold(IEnumerable<ModelPrice> rows)
        => _prices = rows.OrderBy(p => p.EffectiveFrom).GroupBy(p => (p.Provider, p.UpstreamModel)).ToFrozenDictionary(g => g.Key, g => g.ToArray());

    private async Task<PriceChange> ChangeAsync(
        Func<AiAspireDb, CancellationToken, Task<PriceChange>> change, AuditEvent entry, Func<AiAspireDb, CancellationToken, Task> inTheSame, CancellationToken cancellationToken)
    {
        var result = await sessions.Open(TenantScope.Platform).RunAsync(
            async (db, token) =>
            {
                await db.Database.ExecuteSqlAsync($"SELECT pg_advisory_xact_lock(hashtextextended({Topic}, 0))", token);
                var result = await change(db, token);
                // Whatever says no has changed nothing.
                if (result != PriceChange.Done)
                    return result;
                await db.SaveChangesAsync(token);
                await db.NotifyChangedAsync(Topic, token);
                await db.AppendAuditAsync(entry, token);
                await inTheSame(db, token);
                return result;
            },
            cancellationToken);
        await RefreshAsync(cancellationToken);
        return result;
    }

    private static Task<bool> TakenAsync(AiAspireDb db, ModelPrice price, CancellationToken cancellationToken)
        => db.ModelPrices.AnyAsync(p => p.Provider == price.Provider && p.UpstreamModel == price.UpstreamModel && p.EffectiveFrom == price.EffectiveFrom && p.PriceId != price.PriceId, cancellationToken);
}
