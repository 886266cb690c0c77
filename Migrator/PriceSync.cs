using AiAspire.Core.Data;
using AiAspire.Core.Models;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Options;

namespace AiAspire.Migrator;

/// <summary>
/// Writes configuration's prices as new versions where they differ from the last; what was charged before stays explained. A model whose
/// price an operator has set by the API is left alone: what they agreed with the provider must not be undone by the next start.
/// </summary>
internal sealed class PriceSync(TimeProvider time, IOptions<CatalogOptions> catalog)
{
    public async Task RunAsync(AiAspireDb db, CancellationToken cancellationToken)
    {
        var now = time.GetUtcNow();
        var known = (await db.ModelPrices.AsNoTracking().ToListAsync(cancellationToken)).ToLookup(p => (p.Provider, p.UpstreamModel));
        foreach (var (provider, settings) in catalog.Value.Providers)
        {
            foreach (var model in settings.Models.Where(m => m.Price is not null))
            {
                var price = New(provider, model, now);
                var versions = known[(provider, price.UpstreamModel)].ToList();
                if (!versions.Exists(p => p.Source == PriceSource.Api) && !(versions.MaxBy(p => p.EffectiveFrom) is { } last && Same(last, price)))
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
            Reasoning = price.Reasoning ?? price.Output.Value,
            LongContext = [.. price.LongContext.Select(l => new LongContextPrice(
                l.Above, l.Input!.Value, l.CachedInput ?? l.Input.Value, l.CacheWrite ?? l.Input.Value, l.Output!.Value, l.Reasoning ?? l.Output.Value))],
            Source = PriceSource.Configuration,
            CreatedAt = now,
            CreatedBy = "configuration",
        };
    }

    private static bool Same(ModelPrice a, ModelPrice b) => a.BaseRates == b.BaseRates && a.LongContext.SequenceEqual(b.LongContext);
}
