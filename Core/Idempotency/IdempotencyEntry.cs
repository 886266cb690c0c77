using AiAspire.Core.Data;
using AiAspire.Core.Tenancy;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Metadata.Builders;

namespace AiAspire.Core.Idempotency;

/// <summary>
/// A key that a user sent with a request (IETF draft-ietf-httpapi-idempotency-key-header). Inserted before the work, completed in the
/// transaction of its effect.
/// </summary>
public sealed class IdempotencyEntry : IUserOwned
{
    public required Guid TenantId { get; init; }

    public required Guid UserId { get; init; }

    /// <summary>The same key on another route is another key.</summary>
    public required string Route { get; init; }

    public required string Key { get; init; }

    /// <summary>SHA-256 of the payload with the user's pseudonym: tells a repeat from another request.</summary>
    public required byte[] Fingerprint { get; init; }

    /// <summary>The request that holds the key; drawn anew when a dead request's key is taken over, and so a fence.</summary>
    public required Guid RequestId { get; set; }

    /// <summary>Until then the request is taken to be in progress.</summary>
    public required DateTimeOffset LeaseUntil { get; set; }

    /// <summary>The answer, encrypted with the user's key; null while in progress.</summary>
    public byte[]? Response { get; set; }

    public required DateTimeOffset ExpiresAt { get; init; }
}

public static class IdempotencySets
{
    extension(AiAspireDb db)
    {
        public DbSet<IdempotencyEntry> IdempotencyEntries => db.Set<IdempotencyEntry>();
    }
}

internal sealed class IdempotencyModel : IEntityTypeConfiguration<IdempotencyEntry>
{
    public void Configure(EntityTypeBuilder<IdempotencyEntry> builder)
    {
        builder.ToTable("idempotency_keys").HasKey(e => new { e.TenantId, e.UserId, e.Route, e.Key });
        builder.HasIndex(e => new { e.TenantId, e.ExpiresAt });
        builder.HasOne<User>().WithMany().HasForeignKey(e => new { e.TenantId, e.UserId });
    }
}
