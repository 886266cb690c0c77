using AiAspire.Core.Data;
using AiAspire.Core.Models;
using AiAspire.Core.Wire;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Metadata.Builders;

namespace AiAspire.Core.Ledger;

/// <summary>
/// One call to one provider: what that company will bill. Committed as <see cref="AttemptOutcome.Open"/> before the call, so that none
/// can vanish. Partitioned by the time inside the id.
/// </summary>
public sealed class LedgerAttempt : ITenantOwned
{
    public required Guid TenantId { get; init; }

    public required Guid AttemptId { get; init; }

    public required Guid RequestId { get; init; }

    public required Guid UserPseudonym { get; init; }

    public required int Number { get; init; }

    public required string Feature { get; init; }

    public required string Tier { get; init; }

    public required string Provider { get; init; }

    public required string Model { get; init; }

    public required string UpstreamModel { get; init; }

    public required Guid PriceId { get; init; }

    public AttemptOutcome Outcome { get; init; }

    public int? StatusCode { get; init; }

    public string? ErrorCode { get; init; }

    public UsageSource? UsageSource { get; init; }

    public required long EstimatedInputTokens { get; init; }

    public required long ReservedOutputTokens { get; init; }

    public long InputTokens { get; init; }

    public long CachedInputTokens { get; init; }

    public long CacheWriteTokens { get; init; }

    public long OutputTokens { get; init; }

    public long ReasoningTokens { get; init; }

    /// <summary>US dollars.</summary>
    public decimal ProviderCost { get; init; }

    public string? ProviderRequestId { get; init; }

    public required DateTimeOffset OpenedAt { get; init; }

    public required DateTimeOffset LeaseUntil { get; init; }

    public DateTimeOffset? SettledAt { get; init; }

    public double? LatencyMs { get; init; }

    public double? FirstTokenMs { get; init; }
}

/// <summary>One request of a caller: what the tenant pays, once, however many attempts it took.</summary>
public sealed class LedgerRequest : ITenantOwned
{
    public required Guid TenantId { get; init; }

    public required Guid RequestId { get; init; }

    public required Guid UserPseudonym { get; init; }

    public Guid? ApiKeyId { get; init; }

    /// <summary>Null for an abandoned request: only its process knew.</summary>
    public Guid? ConversationId { get; init; }

    public required string Feature { get; init; }

    public required string Tier { get; init; }

    /// <summary>The model or alias that the caller named.</summary>
    public required string RequestedModel { get; init; }

    /// <summary>The model that served; null when none did.</summary>
    public string? Model { get; init; }

    public string? Provider { get; init; }

    /// <summary><c>succeeded</c>, <c>failed</c>, <c>aborted</c>; <c>abandoned</c>: its process died, nothing is charged.</summary>
    public required string Outcome { get; init; }

    public required bool Stream { get; init; }

    public required int Attempts { get; init; }

    public required long InputTokens { get; init; }

    public required long CachedInputTokens { get; init; }

    public required long CacheWriteTokens { get; init; }

    public required long OutputTokens { get; init; }

    public required long ReasoningTokens { get; init; }

    /// <summary>US dollars; the sum over the attempts.</summary>
    public required decimal ProviderCost { get; init; }

    /// <summary>US dollars.</summary>
    public required decimal ChargedCost { get; init; }

    /// <summary>Answered from the cache: no attempt, no charge.</summary>
    public required bool CacheHit { get; init; }

    /// <summary>US dollars that the cache spared: what the reply had cost when it was made.</summary>
    public required decimal SavedCost { get; init; }

    public required DateTimeOffset StartedAt { get; init; }

    public required DateTimeOffset FinishedAt { get; init; }

    /// <summary>From the first byte of the request to the settlement.</summary>
    public required double LatencyMs { get; init; }
}

public static class LedgerSets
{
    extension(AiAspireDb db)
    {
        public DbSet<LedgerAttempt> LedgerAttempts => db.Set<LedgerAttempt>();

        public DbSet<LedgerRequest> LedgerRequests => db.Set<LedgerRequest>();
    }
}

internal sealed class LedgerModel : IEntityTypeConfiguration<LedgerAttempt>, IEntityTypeConfiguration<LedgerRequest>
{
    public void Configure(EntityTypeBuilder<LedgerAttempt> builder)
    {
        builder.ToTable("ledger_attempts").HasKey(a => new { a.TenantId, a.AttemptId });
        builder.HasIndex(a => new { a.TenantId, a.RequestId });
        builder.Property(a => a.ProviderCost).HasColumnType("numeric(18,9)");
    }

    public void Configure(EntityTypeBuilder<LedgerRequest> builder)
    {
        builder.ToTable("ledger_requests").HasKey(r => new { r.TenantId, r.RequestId });
        builder.Property(r => r.ProviderCost).HasColumnType("numeric(18,9)");
        builder.Property(r => r.ChargedCost).HasColumnType("numeric(18,9)");
        builder.Property(r => r.SavedCost).HasColumnType("numeric(18,9)");
    }
}
