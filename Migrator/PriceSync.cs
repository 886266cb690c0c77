using AiAspire.Core.Data;
using AiAspire.Core.Models;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Options;

namespace AiAspire.Migrator;

/// <summary>Writes the catalog's prices as new versions where they differ from the last; what was charged before stays explained.</summary>
internal sealed class PriceSync(TimeProvider time, IOptions<CatalogOptions> catalog)
{
    public async Task RunAsync(AiAspireDb db, CancellationToken cancellationToken)
    {
        var now = time.GetUtcNow();
        var latest = (await db.ModelPrices.ToListAsync(cancellationToken))
            .GroupBy(p => (p.Provider, p.UpstreamModel))
            .ToDictionary(g => g.Key, g => g.MaxBy(p => p.EffectiveFrom)!);
        foreach (var (provider, settings) in catalog.Value.Providers)
        {
            foreach (var model in settings.Models.Where(m => m.Price is not null))
            {
                var price = New(provider, model, now);
                if (!latest.TryGetValue((provider, price.UpstreamModel), out var old) || !Same(old, price))
                    db.ModelPrices.Add(price);
            }
        }

        await db.SaveChangesAsync(cancellationToken);
        await db.NotifyChangedAsync(PriceBook.Topic, cancellationToken);
    }

    private ModelPrice New(string provider, ModelOptions model, DateTimeOffset now)
    {
        var price = model.Price!;
        return new ModelPrice
        {
            TenantId = TenantScope.PlatformTenantId,
            PriceId = time.NewId(),
            Provider = provider,
            UpstreamModel = model.UpstreamModel ?? model.Id,
            EffectiveFrom = now,
            Input = price.Input!.Value,
            Output = price.Output!.Value,
            CachedInput = price.CachedInput ?? price.Input.Value,
            CacheWrite = price.CacheWrite ?? price.Input.Value,
        };
    }

    private static bool Same(ModelPrice a, ModelPrice b)
        => (a.Input, a.Output, a.CachedInput, a.CacheWrite) == (b.Input, b.Output, b.CachedInput, b.CacheWrite);
}
