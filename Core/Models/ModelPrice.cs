using System.Text.Json;
using AiAspire.Core.Data;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.ChangeTracking;
using Microsoft.EntityFrameworkCore.Metadata.Builders;

namespace AiAspire.Core.Models;

/// <summary>Who wrote a price.</summary>
public enum PriceSource
{
    /// <summary>The catalog in configuration, as the Migrator found it.</summary>
    Configuration,

    /// <summary>An operator, by the administrative API. From then on configuration writes no price of this model.</summary>
    Api,
}

/// <summary>What tokens cost, in US dollars per million, by class.</summary>
public readonly record struct PriceRates(decimal Input, decimal CachedInput, decimal CacheWrite, decimal Output, decimal Reasoning)
{
    /// <summary>The most that an input token may cost.</summary>
    public decimal DearestInput => Math.Max(Input, Math.Max(CachedInput, CacheWrite));

    /// <summary>The most that an output token may cost.</summary>
    public decimal DearestOutput => Math.Max(Output, Reasoning);

    public bool IsFree => DearestInput == 0 && DearestOutput == 0;
}

/// <summary>The rates of a whole request, output included, whose input tokens, cached ones included, are more than <paramref name="Above"/>.</summary>
public sealed record LongContextPrice(long Above, decimal Input, decimal CachedInput, decimal CacheWrite, decimal Output, decimal Reasoning)
{
    public PriceRates Rates => new(Input, CachedInput, CacheWrite, Output, Reasoning);
}

/// <summary>
/// One version of a price, in US dollars per million tokens. A version that is or was in force is never changed, nor deleted: the
/// database refuses it. One that is still to come may be replaced or withdrawn.
/// </summary>
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

    /// <summary>Of the output tokens that were reasoning.</summary>
    public required decimal Reasoning { get; init; }

    /// <summary>Other rates above a number of input tokens, the lowest first.</summary>
    public LongContextPrice[] LongContext { get; init; } = [];

    public PriceSource Source { get; init; }

    public DateTimeOffset CreatedAt { get; init; }

    /// <summary>Who, for people.</summary>
    public string CreatedBy { get; init; } = "";

    public PriceRates BaseRates => new(Input, CachedInput, CacheWrite, Output, Reasoning);

    public bool IsFree => BaseRates.IsFree && Array.TrueForAll(LongContext, static l => l.Rates.IsFree);

    /// <summary>The cost in US dollars, exact (no rounding before it is stored).</summary>
    public decimal CostOf(TokenUsage usage)
    {
        var rates = RatesFor(usage.TotalInput);
        return ((usage.Input * rates.Input) + (usage.CachedInput * rates.CachedInput) + (usage.CacheWrite * rates.CacheWrite)
            + ((usage.Output - usage.Reasoning) * rates.Output) + (usage.Reasoning * rates.Reasoning)) / 1_000_000m;
    }

    /// <summary>What a token of a request may cost at most, whatever class it turns out to be, and on either side of the thresholds that the estimate is above.</summary>
    public (decimal Input, decimal Output) Dearest(long estimatedInput)
    {
        var (input, output) = (BaseRates.DearestInput, BaseRates.DearestOutput);
        foreach (var tier in LongContext)
        {
            if (tier.Above < estimatedInput)
                (input, output) = (Math.Max(input, tier.Rates.DearestInput), Math.Max(output, tier.Rates.DearestOutput));
        }

        return (input, output);
    }

    /// <summary>US dollars that a request of this size may cost at most. <c>most_cost</c> in ledger.sql says the same.</summary>
    public decimal MostCost(long input, long output)
    {
        var dearest = Dearest(input);
        return ((input * dearest.Input) + (output * dearest.Output)) / 1_000_000m;
    }

    private PriceRates RatesFor(long input)
    {
        for (var i = LongContext.Length - 1; i >= 0; i--)
        {
            if (LongContext[i].Above < input)
                return LongContext[i].Rates;
        }

        return BaseRates;
    }
}

public static class ModelSets
{
    extension(AiAspireDb db)
    {
        public DbSet<ModelPrice> ModelPrices => db.Set<ModelPrice>();

        public DbSet<CatalogEntry> CatalogEntries => db.Set<CatalogEntry>();
    }
}

internal sealed class ModelPriceModel : IEntityTypeConfiguration<ModelPrice>
{
    private static readonly JsonSerializerOptions Json = new() { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower };

    public void Configure(EntityTypeBuilder<ModelPrice> builder)
    {
        builder.ToTable("model_prices").HasKey(p => new { p.TenantId, p.PriceId });
        builder.HasIndex(p => new { p.TenantId, p.Provider, p.UpstreamModel, p.EffectiveFrom }).IsUnique();
        foreach (var price in new[] { nameof(ModelPrice.Input), nameof(ModelPrice.CachedInput), nameof(ModelPrice.CacheWrite), nameof(ModelPrice.Output), nameof(ModelPrice.Reasoning) })
            builder.Property(price).HasColumnType("numeric(18,6)");
        builder.Ignore(p => p.BaseRates);
        builder.Property(p => p.LongContext).HasColumnType("jsonb").HasConversion(
            l => Write(l),
            text => Read(text),
            new ValueComparer<LongContextPrice[]>((a, b) => a!.SequenceEqual(b!), l => l.Length, l => l));
    }

    private static string Write(LongContextPrice[] tiers) => JsonSerializer.Serialize(tiers.Select(static t => new Stored(t.Above, t.Input, t.CachedInput, t.CacheWrite, t.Output, t.Reasoning)), Json);

    private static LongContextPrice[] Read(string text)
        => [.. JsonSerializer.Deserialize<Stored[]>(text, Json)!.Select(static t => new LongContextPrice(t.Above, t.Input, t.CachedInput, t.CacheWrite, t.Output, t.Reasoning))];

    private sealed record Stored(long Above, decimal Input, decimal CachedInput, decimal CacheWrite, decimal Output, decimal Reasoning);
}
