using AiAspire.Core.Data;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Metadata.Builders;

namespace AiAspire.Core.Tenancy;

public enum AccountStatus
{
    Active,
    Suspended,
}

/// <summary>A customer. Its plan holds for all of its users together.</summary>
public sealed class Tenant : ITenantOwned
{
    public required Guid TenantId { get; init; }

    /// <summary>Short name in tokens and addresses; unique over all tenants.</summary>
    public required string Slug { get; init; }

    public required string Name { get; set; }

    public required string Plan { get; set; }

    public AccountStatus Status { get; set; }

    /// <summary>Tokens (input + output) of all users of the tenant in a UTC day; null: no limit of its own.</summary>
    public long? TokensPerDay { get; set; }

    /// <summary>Tokens of all users of the tenant in a minute; null: no limit of its own.</summary>
    public long? TokensPerMinute { get; set; }

    /// <summary>Days after its last message at which a conversation is deleted.</summary>
    public int RetentionDays { get; set; } = 90;

    public required DateTimeOffset CreatedAt { get; init; }
}

/// <summary>What a user of this tier may use. Tiers of the platform tenant are the defaults; a tenant's own tier of the same name wins.</summary>
public sealed class Tier : ISharedByPlatform
{
    public required Guid TenantId { get; init; }

    public required string Name { get; init; }

    /// <summary>Model ids or aliases; <c>*</c> ends a prefix.</summary>
    public required string[] Models { get; set; }

    public required string[] Features { get; set; }

    /// <summary>Tokens (input + output) of one user in a UTC day; null: unlimited.</summary>
    public long? TokensPerDay { get; set; }

    /// <summary>Output tokens sent upstream as the cap when the caller names none.</summary>
    public int DefaultMaxOutputTokens { get; set; } = 1024;

    public bool IsDefault { get; set; }
}

public sealed class User : IUserOwned
{
    public required Guid TenantId { get; init; }

    public required Guid UserId { get; init; }

    /// <summary>The tenant's own name for this user: a token's <c>sub</c>, or what an <c>act_as_user</c> key said.</summary>
    public required string ExternalId { get; init; }

    public required string Tier { get; set; }

    public required string[] Roles { get; set; }

    public AccountStatus Status { get; set; }

    /// <summary>Stands for the user in the ledger; unrelated to any other id, so that destroying this row ends the link.</summary>
    public required Guid Pseudonym { get; init; }

    public required DateTimeOffset CreatedAt { get; init; }

    /// <summary>Since when the user is erased; the row stays, so that a credential that still names them is refused.</summary>
    public DateTimeOffset? ErasedAt { get; init; }
}

/// <summary>An API key, of a user or of a whole tenant. The key itself is shown once and never stored.</summary>
public sealed class ApiKey : ITenantOwned
{
    public required Guid TenantId { get; init; }

    public required Guid ApiKeyId { get; init; }

    /// <summary>Null for a tenant's key, which needs the scope <see cref="Scopes.ActAsUser"/>.</summary>
    public Guid? UserId { get; init; }

    public required string Name { get; set; }

    /// <summary>SHA-256 of the whole key. The key has 256 random bits, so no slow hash is called for.</summary>
    public required byte[] Hash { get; init; }

    /// <summary>The first characters, by which people tell keys apart.</summary>
    public required string Prefix { get; init; }

    public required string[] Scopes { get; set; }

    public DateTimeOffset? ExpiresAt { get; set; }

    public DateTimeOffset? RevokedAt { get; set; }

    public DateTimeOffset? LastUsedAt { get; set; }

    public required DateTimeOffset CreatedAt { get; init; }
}

/// <summary>What a key may be used for beside what its user may do.</summary>
public static class Scopes
{
    public const string ActAsUser = "act_as_user";
}

/// <summary>Role names, as in the <c>roles</c> claim.</summary>
public static class Roles
{
    public const string User = "user";
    public const string TenantAdmin = "tenant_admin";
    public const string Moderator = "moderator";
    public const string Operator = "operator";
    public const string Auditor = "auditor";
}

public static class TenancySets
{
    extension(AiAspireDb db)
    {
        public DbSet<Tenant> Tenants => db.Set<Tenant>();

        public DbSet<Tier> Tiers => db.Set<Tier>();

        public DbSet<User> Users => db.Set<User>();

        public DbSet<ApiKey> ApiKeys => db.Set<ApiKey>();
    }
}

internal sealed class TenancyModel
    : IEntityTypeConfiguration<Tenant>, IEntityTypeConfiguration<Tier>, IEntityTypeConfiguration<User>, IEntityTypeConfiguration<ApiKey>
{
    public void Configure(EntityTypeBuilder<Tenant> builder)
    {
        builder.ToTable("tenants").HasKey(t => t.TenantId);
        builder.HasIndex(t => t.Slug).IsUnique();
    }

    public void Configure(EntityTypeBuilder<Tier> builder)
    {
        builder.ToTable("tiers").HasKey(t => new { t.TenantId, t.Name });
        builder.HasOne<Tenant>().WithMany().HasForeignKey(t => t.TenantId);
    }

    public void Configure(EntityTypeBuilder<User> builder)
    {
        builder.ToTable("users").HasKey(u => new { u.TenantId, u.UserId });
        builder.HasIndex(u => new { u.TenantId, u.ExternalId }).IsUnique();
        builder.HasOne<Tenant>().WithMany().HasForeignKey(u => u.TenantId);
    }

    public void Configure(EntityTypeBuilder<ApiKey> builder)
    {
        builder.ToTable("api_keys").HasKey(k => new { k.TenantId, k.ApiKeyId });
        // Not led by the tenant: a key arrives before its tenant is known. No oracle, since a hash of 256 random bits cannot be guessed.
        builder.HasIndex(k => k.Hash).IsUnique();
        builder.HasOne<User>().WithMany().HasForeignKey(k => new { k.TenantId, k.UserId });
        builder.HasOne<Tenant>().WithMany().HasForeignKey(k => k.TenantId);
    }
}
