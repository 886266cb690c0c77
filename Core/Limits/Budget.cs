using AiAspire.Core.Data;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Metadata.Builders;

namespace AiAspire.Core.Limits;

/// <summary>Whose use a budget adds up.</summary>
public enum BudgetScope
{
    /// <summary>Each user by itself.</summary>
    User,

    /// <summary>One product feature: of the tenant, or for the platform's budgets of all tenants together.</summary>
    Feature,

    /// <summary>The tenant; for the platform's budgets, each tenant by itself.</summary>
    Tenant,

    /// <summary>All tenants together. Only the platform has such budgets.</summary>
    Service,
}

public enum BudgetUnit
{
    /// <summary>US dollars: what the tenant is charged, and for the platform's budgets what the providers bill.</summary>
    Usd,

    /// <summary>Input and output tokens.</summary>
    Tokens,
}

/// <summary>UTC periods, each with a counter of its own.</summary>
public enum LimitPeriod
{
    Minute,
    Hour,
    Day,
    Month,
}

/// <summary>What happens when nothing is left.</summary>
public enum BudgetAction
{
    /// <summary>Calls are refused with 429 until the period ends.</summary>
    Refuse,

    /// <summary>The feature, tenant or service is switched off until a person switches it on again. Only the platform's budgets can do so.</summary>
    Trip,
}

/// <summary>A hard limit on money or tokens, with a warning before it is reached.</summary>
public sealed class Budget : ISharedByPlatform
{
    public required Guid TenantId { get; init; }

    /// <summary>Names its counters; another scope, unit or period is another budget.</summary>
    public required Guid BudgetId { get; init; }

    /// <summary>Unique in the tenant; told in refusals.</summary>
    public required string Name { get; init; }

    public required BudgetScope Scope { get; init; }

    /// <summary>For <see cref="BudgetScope.Feature"/> the feature's name; for <see cref="BudgetScope.User"/> a tier's name, or null for all users.</summary>
    public string? Selector { get; init; }

    public required BudgetUnit Unit { get; init; }

    public required LimitPeriod Period { get; init; }

    /// <summary>In the unit; at most nine million, so that it stays exact in billionths.</summary>
    public required decimal Limit { get; init; }

    /// <summary>Percent of the limit at which a warning is sent, once in a period; null: none.</summary>
    public int? SoftPercent { get; init; } = 80;

    public BudgetAction Action { get; init; }

    public required DateTimeOffset ChangedAt { get; init; }

    /// <summary>Whether a budget can trip: what its switch stops must be just what it adds up.</summary>
    public static bool CanTrip(Guid tenantId, BudgetScope scope) => tenantId == TenantScope.PlatformTenantId && scope != BudgetScope.User;

    /// <summary>The limit as the counters have it: tokens, or billionths of a dollar.</summary>
    public long CounterLimit => Unit == BudgetUnit.Tokens ? (long)Limit : (long)(Limit * 1_000_000_000m);

    public LimitUnit CounterUnit => Unit == BudgetUnit.Tokens
        ? LimitUnit.Tokens
        : TenantId == TenantScope.PlatformTenantId ? LimitUnit.ProviderCost : LimitUnit.ChargedCost;

    public bool Holds(Guid tenantId, string feature, string tier)
        => (TenantId == TenantScope.PlatformTenantId || TenantId == tenantId)
        && Scope switch
        {
            BudgetScope.User => Selector is null || string.Equals(Selector, tier, StringComparison.OrdinalIgnoreCase),
            BudgetScope.Feature => string.Equals(Selector, feature, StringComparison.OrdinalIgnoreCase),
            _ => true,
        };

    /// <summary>The counter's key, without its period.</summary>
    public string KeyOf(Guid tenantId, Guid pseudonym) => Scope switch
    {
        BudgetScope.User => $"b:{BudgetId:N}:{tenantId:N}:{pseudonym:N}",
        BudgetScope.Tenant => $"b:{BudgetId:N}:{tenantId:N}",
        _ => $"b:{BudgetId:N}",
    };
}

public static class BudgetSets
{
    extension(AiAspireDb db)
    {
        public DbSet<Budget> Budgets => db.Set<Budget>();
    }
}

internal sealed class BudgetModel : IEntityTypeConfiguration<Budget>
{
    public void Configure(EntityTypeBuilder<Budget> builder)
    {
        builder.ToTable("budgets").HasKey(b => new { b.TenantId, b.BudgetId });
        builder.HasIndex(b => new { b.TenantId, b.Name }).IsUnique();
        builder.Property(b => b.Limit).HasColumnType("numeric(18,9)");
    }
}
