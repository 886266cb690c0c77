using System.Collections.Frozen;
using AiAspire.Core.Data;
using Microsoft.EntityFrameworkCore;

namespace AiAspire.Core.Models;

/// <summary>The prices in force, held in memory and read again whenever the table changes.</summary>
public sealed class PriceBook(TenantSessions sessions, TimeProvider time)
{
    public const string Topic = "model_prices";

    private volatile FrozenDictionary<(string Provider, string Model), ModelPrice[]> _prices =
        FrozenDictionary<(string, string), ModelPrice[]>.Empty;

    /// <summary>The price in force now, or null: then the model must not be called.</summary>
    public ModelPrice? Find(ModelTarget target)
    {
        if (!_prices.TryGetValue((target.Provider, target.UpstreamModel), out var versions))
            return null;
        var now = time.GetUtcNow();
        return Array.FindLast(versions, p => p.EffectiveFrom <= now);
    }

    public async Task RefreshAsync(CancellationToken cancellationToken)
    {
        var rows = await sessions.Open(TenantScope.Platform).RunAsync(
            (db, token) => db.ModelPrices.AsNoTracking().ToListAsync(token), cancellationToken);
        Hold(rows);
    }

    internal void Hold(IEnumerable<ModelPrice> rows)
        => _prices = rows.OrderBy(p => p.EffectiveFrom).GroupBy(p => (p.Provider, p.UpstreamModel)).ToFrozenDictionary(g => g.Key, g => g.ToArray());
}
