using AiAspire.Core.Data;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Metadata.Builders;

namespace AiAspire.Core.Models;

/// <summary>
/// One version of a model's entry in the catalog, written by an operator. Never changed: the last version holds, and the others are the
/// history. It stands in the place of configuration's entry of that id, or beside it for an id of its own. A row of the platform tenant.
/// </summary>
public sealed class CatalogEntry : ITenantOwned
{
    public required Guid TenantId { get; init; }

    public required string ModelId { get; init; }

    /// <summary>Counts from 1.</summary>
    public required int Version { get; init; }

    /// <summary>The entry was taken back: configuration's holds again, if it has one. The rest is as it was before.</summary>
    public bool Removed { get; init; }

    public required string Provider { get; init; }

    public string? UpstreamModel { get; init; }

    public ModelKind Kind { get; init; }

    public string? VectorSpace { get; init; }

    public required int ContextWindow { get; init; }

    public required int MaxOutputTokens { get; init; }

    public int? RequestsPerMinute { get; init; }

    public int? TokensPerMinute { get; init; }

    /// <summary>Null: not known.</summary>
    public string[]? Capabilities { get; init; }

    public string[] Aliases { get; init; } = [];

    public DateTimeOffset Released { get; init; }

    public DateTimeOffset? DeprecatedAt { get; init; }

    public DateTimeOffset? SunsetAt { get; init; }

    public string? Replacement { get; init; }

    public required DateTimeOffset ChangedAt { get; init; }

    /// <summary>Who, for people.</summary>
    public required string ChangedBy { get; init; }

    public ModelOptions ToModel() => new()
    {
        Id = ModelId,
        UpstreamModel = UpstreamModel,
        Kind = Kind,
        VectorSpace = VectorSpace,
        ContextWindow = ContextWindow,
        MaxOutputTokens = MaxOutputTokens,
        RequestsPerMinute = RequestsPerMinute,
        TokensPerMinute = TokensPerMinute,
        Capabilities = Capabilities,
        Aliases = Aliases,
        Created = Released,
        DeprecatedAt = DeprecatedAt,
        SunsetAt = SunsetAt,
        Replacement = Replacement,
    };
}

internal sealed class CatalogEntryModel : IEntityTypeConfiguration<CatalogEntry>
{
    public void Configure(EntityTypeBuilder<CatalogEntry> builder)
        => builder.ToTable("catalog_entries").HasKey(e => new { e.TenantId, e.ModelId, e.Version });
}
