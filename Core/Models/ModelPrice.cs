using AiAspire.Core.Data;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Metadata.Builders;

namespace AiAspire.Core.Models;

/// <summary>One version of a price, in US dollars per million tokens. Never changed: a new price is a new row.</summary>
public sealed class ModelPrice : ISharedByPlatform
{
    public required Guid TenantId { get; init; }

    public required Guid PriceId { get; init; }

    public required string Provider { get; init; }

    /// <summary>The provider's own name of the model.</summary>
    public required string UpstreamModel { get; init; }

    public required DateTimeOffset EffectiveFrom { get; init; }

    public required decimal Input { get; init; }

    public required decimal CachedInput { get; init; }

    public required decimal CacheWrite { get; init; }

    public required decimal Output { get; init; }

    /// <summary>The cost in US dollars, exact (no rounding before it is stored).</summary>
    public decimal CostOf(TokenUsage usage)
        => ((usage.Input * Input) + (usage.CachedInput * CachedInput) + (usage.CacheWrite * CacheWrite) + (usage.Output * Output)) / 1_000_000m;
}

public static class ModelSets
{
    extension(AiAspireDb db)
    {
        public DbSet<ModelPrice> ModelPrices => db.Set<ModelPrice>();
    }
}

internal sealed class ModelPriceModel : IEntityTypeConfiguration<ModelPrice>
{
    public void Configure(EntityTypeBuilder<ModelPrice> builder)
    {
        builder.ToTable("model_prices").HasKey(p => new { p.TenantId, p.PriceId });
        builder.HasIndex(p => new { p.TenantId, p.Provider, p.UpstreamModel, p.EffectiveFrom }).IsUnique();
        foreach (var price in new[] { nameof(ModelPrice.Input), nameof(ModelPrice.CachedInput), nameof(ModelPrice.CacheWrite), nameof(ModelPrice.Output) })
            builder.Property(price).HasColumnType("numeric(18,6)");
    }
}
