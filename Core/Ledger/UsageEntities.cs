using AiAspire.Core.Data;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Metadata.Builders;

namespace AiAspire.Core.Ledger;

/// <summary>
/// The ledger, summed by minute and by hour, so that no dashboard scans it. A request and an attempt each count in the minute of their
/// own id. Requests that nothing served have an empty model and provider.
/// </summary>
public sealed class UsageRollup : ITenantOwned
{
    public required Guid TenantId { get; init; }

    /// <summary><c>minute</c> or <c>hour</c>.</summary>
    public required string Width { get; init; }

    /// <summary>Its start.</summary>
    public required DateTimeOffset Bucket { get; init; }

    public required string Feature { get; init; }

    public required string Model { get; init; }

    public required string Provider { get; init; }

    public required string Tier { get; init; }

    public long Requests { get; init; }

    public long FailedRequests { get; init; }

    public long AbortedRequests { get; init; }

    public long AbandonedRequests { get; init; }

    public long Attempts { get; init; }

    /// <summary>Attempts answered with 429.</summary>
    public long RateLimited { get; init; }

    /// <summary>Attempts answered with 5xx.</summary>
    public long ServerErrors { get; init; }

    public long Timeouts { get; init; }

    /// <summary>Attempts answered with another 4xx.</summary>
    public long Refused { get; init; }

    public long OtherErrors { get; init; }

    /// <summary>Tokens of requests: what callers got and pay for. In disjoint classes.</summary>
    public long InputTokens { get; init; }

    public long CachedInputTokens { get; init; }

    public long CacheWriteTokens { get; init; }

    public long OutputTokens { get; init; }

    public long ReasoningTokens { get; init; }

    /// <summary>US dollars, of requests.</summary>
    public decimal ChargedCost { get; init; }

    /// <summary>US dollars, of attempts.</summary>
    public decimal ProviderCost { get; init; }

    /// <summary>US dollars; the part of <see cref="ProviderCost"/> that is only estimated.</summary>
    public decimal EstimatedCost { get; init; }

    /// <summary>US dollars that answers from our cache would have cost.</summary>
    public decimal CacheSavings { get; init; }

    /// <summary>Sum over requests, abandoned ones apart.</summary>
    public decimal LatencyMs { get; init; }

    /// <summary>Requests by latency; the bounds are <see cref="UsageLatency.BoundsMs"/>.</summary>
    public required long[] LatencyCounts { get; init; }
}

/// <summary>Says that something older than the roll-up looks back was settled. Never updated: see <c>roll_up_usage</c> in usage.sql.</summary>
internal sealed class UsageLateMark : ITenantOwned
{
    public required Guid TenantId { get; init; }

    public required Guid MarkId { get; init; }

    public required DateTimeOffset Minute { get; init; }
}

/// <summary>How far the roll-up has come: one row, of no tenant.</summary>
internal sealed class UsageProgress
{
    public required string Name { get; init; }

    public required DateTimeOffset Through { get; init; }
}

internal sealed class UsageModel : IEntityTypeConfiguration<UsageRollup>, IEntityTypeConfiguration<UsageLateMark>, IEntityTypeConfiguration<UsageProgress>
{
    public void Configure(EntityTypeBuilder<UsageRollup> builder)
    {
        builder.ToTable("usage_rollups").HasKey(u => new { u.TenantId, u.Width, u.Bucket, u.Feature, u.Model, u.Provider, u.Tier });
        foreach (var cost in new[] { nameof(UsageRollup.ChargedCost), nameof(UsageRollup.ProviderCost), nameof(UsageRollup.EstimatedCost), nameof(UsageRollup.CacheSavings) })
            builder.Property(cost).HasColumnType("numeric(24,9)");
        builder.Property(u => u.LatencyMs).HasColumnType("numeric(24,3)");
    }

    public void Configure(EntityTypeBuilder<UsageLateMark> builder) => builder.ToTable("usage_late_marks").HasKey(m => new { m.TenantId, m.MarkId });

    public void Configure(EntityTypeBuilder<UsageProgress> builder) => builder.ToTable("usage_progress").HasKey(p => p.Name);
}
