using AiAspire.Core.Data;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Metadata.Builders;

namespace AiAspire.Core.Audit;

/// <summary>
/// One link of a tenant's chain. Written only by the function <c>append_audit</c>, never changed or deleted. It holds no personal
/// data (people stand in it by their ids), so erasing a person leaves the chain whole.
/// </summary>
public sealed class AuditEntry : ITenantOwned
{
    public required Guid TenantId { get; init; }

    /// <summary>1, 2, 3… within the tenant, without gaps.</summary>
    public required long Sequence { get; init; }

    public required Guid EntryId { get; init; }

    /// <summary>The database's clock when the entry was appended, to the microsecond.</summary>
    public required DateTimeOffset At { get; init; }

    public required string ActorKind { get; init; }

    public string? ActorId { get; init; }

    /// <summary>Dotted words; see <see cref="AuditActions"/>.</summary>
    public required string Action { get; init; }

    public string? TargetKind { get; init; }

    public string? TargetId { get; init; }

    public Guid? RequestId { get; init; }

    /// <summary>A JSON object in PostgreSQL's normal form of jsonb; the hash is over exactly this text.</summary>
    public required string Details { get; init; }

    /// <summary>The hash of the entry before; 32 zero bytes in the first.</summary>
    public required byte[] PrevHash { get; init; }

    /// <summary>SHA-256 over <see cref="AuditEncoding"/> of everything above.</summary>
    public required byte[] Hash { get; init; }
}

/// <summary>The last link of a tenant's chain; its row lock is what makes appends come one after the other.</summary>
public sealed class AuditHead : ITenantOwned
{
    public required Guid TenantId { get; init; }

    public required long Sequence { get; init; }

    public required byte[] Hash { get; init; }

    public required DateTimeOffset At { get; init; }

    /// <summary>
    /// Up to where a head is signed outside the database. It only rises, so a heads file that is gone or has become shorter shows: whoever
    /// takes it away would have to change this row too.
    /// </summary>
    public long SignedSequence { get; init; }
}

public static class AuditSets
{
    extension(AiAspireDb db)
    {
        public DbSet<AuditEntry> AuditEntries => db.Set<AuditEntry>();

        public DbSet<AuditHead> AuditHeads => db.Set<AuditHead>();
    }
}

internal sealed class AuditModel : IEntityTypeConfiguration<AuditEntry>, IEntityTypeConfiguration<AuditHead>
{
    public void Configure(EntityTypeBuilder<AuditEntry> builder)
    {
        // No foreign key: a chain outlives what it tells of.
        builder.ToTable("audit_entries").HasKey(e => new { e.TenantId, e.Sequence });
        builder.HasIndex(e => new { e.TenantId, e.EntryId }).IsUnique();
        builder.HasIndex(e => new { e.TenantId, e.Action, e.Sequence });
        builder.Property(e => e.Details).HasColumnType("jsonb");
    }

    public void Configure(EntityTypeBuilder<AuditHead> builder)
        => builder.ToTable("audit_heads").HasKey(h => h.TenantId);
}
