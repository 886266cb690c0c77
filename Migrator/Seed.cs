using AiAspire.Core.Data;
using AiAspire.Core.Tenancy;
using Microsoft.EntityFrameworkCore;

namespace AiAspire.Migrator;

/// <summary>The platform tenant with its default tiers; and, for development, two tenants with users in two tiers and both kinds of key.</summary>
internal sealed class Seed(TimeProvider time)
{
    /// <summary>Set apart from all real tenants' names.</summary>
    private const string PlatformSlug = "platform";

    public async Task PlatformAsync(AiAspireDb db, CancellationToken cancellationToken)
    {
        if (!await db.Tenants.AnyAsync(t => t.TenantId == TenantScope.PlatformTenantId, cancellationToken))
        {
            db.Tenants.Add(new Tenant
            {
                TenantId = TenantScope.PlatformTenantId,
                Slug = PlatformSlug,
                Name = "Platform",
                Plan = "platform",
                CreatedAt = time.GetUtcNow(),
            });
        }

        await AddTierAsync(db, "free", tokensPerDay: 10_000, isDefault: true, cancellationToken);
        await AddTierAsync(db, "pro", tokensPerDay: 100_000, isDefault: false, cancellationToken);
        await AddTierAsync(db, "developer", tokensPerDay: null, isDefault: false, cancellationToken, maxOutputTokens: 32_768);
        await db.SaveChangesAsync(cancellationToken);
    }

    private static async Task AddTierAsync(
        AiAspireDb db, string name, long? tokensPerDay, bool isDefault, CancellationToken cancellationToken, int maxOutputTokens = 1024)
    {
        if (await db.Tiers.AnyAsync(t => t.TenantId == TenantScope.PlatformTenantId && t.Name == name, cancellationToken))
            return;
        db.Tiers.Add(new Tier
        {
            TenantId = TenantScope.PlatformTenantId,
            Name = name,
            Models = ["*"],
            Features = ["*"],
            TokensPerDay = tokensPerDay,
            DefaultMaxOutputTokens = maxOutputTokens,
            IsDefault = isDefault,
        });
    }

    /// <param name="db">Acting as the owner.</param>
    /// <param name="developmentKey">The key of <c>acme</c>'s developer; the other keys are derived from it, so that they too survive restarts.</param>
    /// <param name="cancellationToken">Cancels.</param>
    public async Task DevelopmentAsync(AiAspireDb db, string developmentKey, CancellationToken cancellationToken)
    {
        var acme = await AddTenantAsync(db, "acme", "Acme", tokensPerDay: null, cancellationToken);
        var developer = await AddUserAsync(db, acme, "developer", "developer", [Roles.User, Roles.TenantAdmin, Roles.Operator], cancellationToken);
        await AddUserAsync(db, acme, "alice", "pro", [Roles.User], cancellationToken);
        await AddUserAsync(db, acme, "bob", "free", [Roles.User], cancellationToken);
        await AddKeyAsync(db, acme, developer, "development", developmentKey, [], cancellationToken);
        await AddKeyAsync(db, acme, null, "development backend", DevelopmentKeys.Tenant(developmentKey, "acme"), [Scopes.ActAsUser], cancellationToken);

        var globex = await AddTenantAsync(db, "globex", "Globex", tokensPerDay: 1_000_000, cancellationToken);
        var carol = await AddUserAsync(db, globex, "carol", "pro", [Roles.User, Roles.TenantAdmin], cancellationToken);
        await AddUserAsync(db, globex, "dave", "free", [Roles.User], cancellationToken);
        await AddKeyAsync(db, globex, carol, "development", DevelopmentKeys.User(developmentKey, "carol"), [], cancellationToken);
        await AddKeyAsync(db, globex, null, "development backend", DevelopmentKeys.Tenant(developmentKey, "globex"), [Scopes.ActAsUser], cancellationToken);
        await db.SaveChangesAsync(cancellationToken);
        await db.NotifyChangedAsync(CallerDirectory.Topic, cancellationToken);
    }

    private async Task<Guid> AddTenantAsync(AiAspireDb db, string slug, string name, long? tokensPerDay, CancellationToken cancellationToken)
    {
        var known = await db.Tenants.IgnoreQueryFilters().SingleOrDefaultAsync(t => t.Slug == slug, cancellationToken);
        if (known is not null)
            return known.TenantId;
        var tenant = new Tenant { TenantId = time.NewId(), Slug = slug, Name = name, Plan = "development", TokensPerDay = tokensPerDay, CreatedAt = time.GetUtcNow() };
        db.Tenants.Add(tenant);
        return tenant.TenantId;
    }

    private async Task<Guid> AddUserAsync(AiAspireDb db, Guid tenantId, string name, string tier, string[] roles, CancellationToken cancellationToken)
    {
        var known = await db.Users.IgnoreQueryFilters().SingleOrDefaultAsync(u => u.TenantId == tenantId && u.ExternalId == name, cancellationToken);
        if (known is not null)
            return known.UserId;
        var user = new User
        {
            TenantId = tenantId,
            UserId = time.NewId(),
            ExternalId = name,
            Tier = tier,
            Roles = roles,
            Pseudonym = time.NewId(),
            CreatedAt = time.GetUtcNow(),
        };
        db.Users.Add(user);
        return user.UserId;
    }

    private async Task AddKeyAsync(AiAspireDb db, Guid tenantId, Guid? userId, string name, string key, string[] scopes, CancellationToken cancellationToken)
    {
        var hash = ApiKeyFormat.Hash(key);
        if (await db.ApiKeys.IgnoreQueryFilters().AnyAsync(k => k.Hash == hash, cancellationToken))
            return;
        db.ApiKeys.Add(new ApiKey
        {
            TenantId = tenantId,
            ApiKeyId = time.NewId(),
            UserId = userId,
            Name = name,
            Hash = hash,
            Prefix = ApiKeyFormat.Shown(key),
            Scopes = scopes,
            CreatedAt = time.GetUtcNow(),
        });
    }
}
