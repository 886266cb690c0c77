using System.Collections.Concurrent;
using AiAspire.Core.Data;
using Microsoft.EntityFrameworkCore;
using Npgsql;

namespace AiAspire.Core.Tenancy;

/// <summary>
/// Turns credentials into a <see cref="Caller"/>. Answers are kept for <see cref="CacheTime"/> and dropped at once when tenants, users
/// or keys change anywhere (<see cref="Topic"/>), so that a revocation reaches every replica.
/// </summary>
public sealed class CallerDirectory(TenantSessions sessions, KeyUses keyUses, TimeProvider time)
{
    /// <summary>The change-feed topic of tenants, tiers, users and keys.</summary>
    public const string Topic = "identity";

    private const int MaxCached = 50_000;
    private static readonly TimeSpan CacheTime = TimeSpan.FromSeconds(5);

    private readonly ConcurrentDictionary<CacheKey, CachedCaller> _cache = new();

    /// <summary>Identifies the holder of an API key.</summary>
    /// <param name="key">The key as shown.</param>
    /// <param name="actAs">The end user that a tenant's key acts for (<c>X-AiAspire-User</c>, else the wire's <c>user</c>).</param>
    /// <param name="cancellationToken">Cancels.</param>
    /// <exception cref="IdentityException">Unknown, expired or revoked key; a tenant's key without an end user; a suspended account.</exception>
    public async ValueTask<Caller> FromApiKeyAsync(string key, string? actAs, CancellationToken cancellationToken)
    {
        var hash = ApiKeyFormat.Hash(key);
        var cacheKey = new CacheKey(Convert.ToBase64String(hash), actAs);
        if (Cached(cacheKey) is { } known)
        {
            keyUses.Note(known);
            return known;
        }

        var found = await FindKeyAsync(hash, cancellationToken)
            ?? throw new IdentityException("invalid_api_key", "Incorrect API key provided. Create one with your tenant's administrator.");
        if (found.RevokedAt is not null)
            throw new IdentityException("invalid_api_key", $"The API key {found.Prefix}… was revoked.");
        if (found.ExpiresAt <= time.GetUtcNow())
            throw new IdentityException("invalid_api_key", $"The API key {found.Prefix}… expired at {found.ExpiresAt:u}.");
        Caller caller;
        if (found.UserId is { } userId)
        {
            // The wire's `user` is a mere label for a user's own key; it never changes who the caller is.
            caller = await LoadAsync(found.Tenant, u => u.UserId == userId, create: null, cancellationToken);
        }
        else if (!found.Scopes.Contains(Scopes.ActAsUser))
        {
            throw new IdentityException("insufficient_scope", $"The API key {found.Prefix}… belongs to no user and lacks the scope {Scopes.ActAsUser}.", forbidden: true);
        }
        else if (string.IsNullOrWhiteSpace(actAs))
        {
            throw new IdentityException("missing_user", "This key belongs to a tenant: name the end user in the header X-AiAspire-User or in the field `user`.", forbidden: true);
        }
        else
        {
            caller = await LoadAsync(found.Tenant, u => u.ExternalId == actAs, create: actAs, cancellationToken);
            // Whoever holds such a key may be anyone in the tenant by name, so it gives none of the powers that some of them have.
            caller = caller with { Roles = [.. caller.Roles.Where(r => r == Roles.User)] };
        }

        caller = caller with { ApiKeyId = found.ApiKeyId };
        keyUses.Note(caller);
        return Keep(cacheKey, caller, found.ExpiresAt);
    }

    /// <summary>Identifies the subject of a token whose signature, issuer, audience and times were already checked.</summary>
    /// <param name="tenantName">The token's tenant claim: an id or a slug.</param>
    /// <param name="subject">The token's subject; created in the default tier on first sight, for the token's issuer vouches for it.</param>
    /// <param name="roles">The token's roles, which hold beside those stored.</param>
    /// <param name="cancellationToken">Cancels.</param>
    /// <exception cref="IdentityException">No such tenant, or a suspended account.</exception>
    public async ValueTask<Caller> FromTokenAsync(string tenantName, string subject, IReadOnlyList<string> roles, CancellationToken cancellationToken)
    {
        var cacheKey = new CacheKey($"jwt:{tenantName}:{string.Join(',', roles)}", subject);
        if (Cached(cacheKey) is { } known)
            return known;
        var tenant = await FindTenantAsync(tenantName, cancellationToken)
            ?? throw new IdentityException("unknown_tenant", "The token's tenant is not known here.");
        var caller = await LoadAsync(tenant, u => u.ExternalId == subject, create: subject, cancellationToken);
        return Keep(cacheKey, caller with { Roles = [.. caller.Roles.Union(roles, StringComparer.Ordinal)] });
    }

    /// <summary>The caller behind work that was queued earlier, as the user stands today.</summary>
    public async ValueTask<Caller> FromIdsAsync(Guid tenantId, Guid userId, CancellationToken cancellationToken)
    {
        var cacheKey = new CacheKey($"id:{tenantId}", userId.ToString());
        return Cached(cacheKey) ?? Keep(cacheKey, await LoadAsync(tenantId, u => u.UserId == userId, create: null, cancellationToken));
    }

    /// <summary>Forgets every answer; called by the change feed.</summary>
    public Task ForgetAsync(CancellationToken cancellationToken)
    {
        _cache.Clear();
        return Task.CompletedTask;
    }

    private async Task<Caller> LoadAsync(
        Guid tenantId, System.Linq.Expressions.Expression<Func<User, bool>> which, string? create, CancellationToken cancellationToken)
    {
        if (create?.Length > 256)
            throw new IdentityException("invalid_user", "The name of the end user is longer than 256 characters.", forbidden: true);
        var (newUserId, newPseudonym, now) = (time.NewId(), time.NewId(), time.GetUtcNow());
        var session = sessions.Open(new TenantScope(tenantId, null, DataReach.Service));
        var (tenant, user, tiers) = await session.RunAsync(
            async (db, token) =>
            {
                var tenant = await db.Tenants.AsNoTracking().SingleAsync(token);
                var tiers = await db.Tiers.AsNoTracking().ToListAsync(token);
                var user = await db.Users.AsNoTracking().SingleOrDefaultAsync(which, token);
                if (user is null && create is not null)
                {
                    var tier = tiers.Where(t => t.IsDefault).OrderByDescending(t => t.TenantId == tenantId).First().Name;
                    // Two first calls of one user meet here: the second insert does nothing and both read the same row.
                    await db.Database.ExecuteSqlAsync(
                        $"""
                        INSERT INTO aiaspire.users (tenant_id, user_id, external_id, tier, roles, status, pseudonym, created_at)
                        VALUES ({tenantId}, {newUserId}, {create}, {tier}, {new[] { Roles.User }}, {nameof(AccountStatus.Active)}, {newPseudonym}, {now})
                        ON CONFLICT (tenant_id, external_id) DO NOTHING
                        """,
                        token);
                    user = await db.Users.AsNoTracking().SingleAsync(which, token);
                }

                return (tenant, user, tiers);
            },
            cancellationToken);
        if (user is null)
            throw new IdentityException("unknown_user", "The user of this credential no longer exists.");
        if (user.ErasedAt is not null)
            throw new IdentityException(IdentityException.UserErased, "This user was erased.", forbidden: true);
        if (tenant.Status != AccountStatus.Active)
            throw new IdentityException("tenant_suspended", $"The tenant '{tenant.Slug}' is suspended.", forbidden: true);
        if (user.Status != AccountStatus.Active)
            throw new IdentityException("user_suspended", "This user is suspended.", forbidden: true);
        return ToCaller(tenant, user, tiers);
    }

    private static Caller ToCaller(Tenant tenant, User user, List<Tier> tiers)
    {
        var tier = tiers.Where(t => t.Name == user.Tier).OrderByDescending(t => t.TenantId == tenant.TenantId).FirstOrDefault()
            ?? throw new IdentityException("unknown_tier", $"The user's tier '{user.Tier}' does not exist.", forbidden: true);
        return new Caller
        {
            TenantId = tenant.TenantId,
            TenantSlug = tenant.Slug,
            UserId = user.UserId,
            Pseudonym = user.Pseudonym,
            ExternalUserId = user.ExternalId,
            Roles = user.Roles,
            Entitlements = new Entitlements(
                tier.Name, tier.Models, tier.Features, tier.TokensPerDay, tenant.TokensPerDay, tenant.TokensPerMinute, tier.DefaultMaxOutputTokens),
        };
    }

    private async Task<FoundKey?> FindKeyAsync(byte[] hash, CancellationToken cancellationToken)
    {
        FoundKey? found = null;
        await sessions.CallFunctionAsync(
            "SELECT tenant_id, api_key_id, user_id, prefix, scopes, expires_at, revoked_at FROM aiaspire.find_api_key($1)",
            row => found = new FoundKey(
                row.GetGuid(0),
                row.GetGuid(1),
                row.IsDBNull(2) ? null : row.GetGuid(2),
                row.GetString(3),
                row.GetFieldValue<string[]>(4),
                row.IsDBNull(5) ? null : row.GetFieldValue<DateTimeOffset>(5),
                row.IsDBNull(6) ? null : row.GetFieldValue<DateTimeOffset>(6)),
            cancellationToken,
            new NpgsqlParameter<byte[]> { TypedValue = hash });
        return found;
    }

    private async Task<Guid?> FindTenantAsync(string name, CancellationToken cancellationToken)
    {
        Guid? found = null;
        await sessions.CallFunctionAsync(
            "SELECT aiaspire.find_tenant($1)",
            row => found = row.IsDBNull(0) ? null : row.GetGuid(0),
            cancellationToken,
            new NpgsqlParameter<string> { TypedValue = name });
        return found;
    }

    private Caller? Cached(CacheKey key) => _cache.TryGetValue(key, out var cached) && cached.Until > time.GetUtcNow() ? cached.Caller : null;

    /// <param name="key">The credential.</param>
    /// <param name="caller">Whose it is.</param>
    /// <param name="expiresAt">The credential's own end, past which it is not kept.</param>
    private Caller Keep(CacheKey key, Caller caller, DateTimeOffset? expiresAt = null)
    {
        if (_cache.Count >= MaxCached)
            _cache.Clear();
        var until = time.GetUtcNow() + CacheTime;
        _cache[key] = new CachedCaller(caller, expiresAt < until ? expiresAt.Value : until);
        return caller;
    }

    private readonly record struct CacheKey(string Credential, string? User);

    private sealed record CachedCaller(Caller Caller, DateTimeOffset Until);

    private sealed record FoundKey(
        Guid Tenant, Guid ApiKeyId, Guid? UserId, string Prefix, string[] Scopes, DateTimeOffset? ExpiresAt, DateTimeOffset? RevokedAt);
}
