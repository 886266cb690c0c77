using AiAspire.Core.Data;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Metadata.Builders;

namespace AiAspire.Core.Routing;

/// <summary>A key of ours at a provider, added by an operator. A row of the platform tenant.</summary>
public sealed class StoredProviderKey : ITenantOwned
{
    public required Guid TenantId { get; init; }

    public required Guid ProviderKeyId { get; init; }

    public required string Provider { get; init; }

    public required string Name { get; init; }

    /// <summary>The key, encrypted with the platform's key.</summary>
    public required byte[] Ciphertext { get; init; }

    /// <summary>The last characters, by which people tell it from others.</summary>
    public required string Hint { get; init; }

    public int? RequestsPerMinute { get; init; }

    public int? TokensPerMinute { get; init; }

    public required DateTimeOffset CreatedAt { get; init; }

    /// <summary>From then on it is not sent any more; null: it is in use.</summary>
    public DateTimeOffset? RetiresAt { get; set; }

    /// <summary>To the minute, over all replicas.</summary>
    public DateTimeOffset? LastUsedAt { get; set; }
}

/// <summary>What was seen of a provider in one minute, by all replicas together.</summary>
public sealed class ProviderMinute : ITenantOwned
{
    public const string Probe = "probe";
    public const string Attempts = "attempts";

    public required Guid TenantId { get; init; }

    public required string Provider { get; init; }

    public required DateTimeOffset Minute { get; init; }

    /// <summary><see cref="Probe"/> or <see cref="Attempts"/>: a model list fetched by schedule, or calls of callers.</summary>
    public required string Source { get; init; }

    public required int Total { get; init; }

    /// <summary>Failures that speak against the provider: neither a caller's mistake nor a rate limit.</summary>
    public required int Failed { get; init; }

    /// <summary>Why the last failure of the minute failed.</summary>
    public string? LastError { get; init; }
}

public static class RoutingSets
{
    extension(AiAspireDb db)
    {
        public DbSet<StoredProviderKey> ProviderKeys => db.Set<StoredProviderKey>();

        public DbSet<ProviderMinute> ProviderMinutes => db.Set<ProviderMinute>();
    }
}

internal sealed class RoutingModel : IEntityTypeConfiguration<StoredProviderKey>, IEntityTypeConfiguration<ProviderMinute>
{
    public void Configure(EntityTypeBuilder<StoredProviderKey> builder)
        => builder.ToTable("provider_keys").HasKey(k => new { k.TenantId, k.ProviderKeyId });

    public void Configure(EntityTypeBuilder<ProviderMinute> builder)
        => builder.ToTable("provider_minutes").HasKey(m => new { m.TenantId, m.Provider, m.Minute, m.Source });
}
