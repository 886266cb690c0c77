using System.Text.Json.Nodes;
using AiAspire.Api.Conversations;
using AiAspire.Api.Identity;
using AiAspire.Core.Audit;
using AiAspire.Core.Data;
using AiAspire.Core.Tenancy;
using AiAspire.Core.Wire;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Mvc;
using Microsoft.EntityFrameworkCore;

namespace AiAspire.Api.Admin;

/// <param name="Models">Model ids or aliases; <c>*</c> ends a prefix.</param>
/// <param name="Features">Feature names; <c>*</c> ends a prefix.</param>
/// <param name="TokensPerDay">Of one user in a UTC day; null: no limit but the tenant's.</param>
/// <param name="DefaultMaxOutputTokens">The output cap when a request names none. Default 1,024.</param>
/// <param name="IsDefault">Whether new users get it; one of the tenant's own tiers at a time.</param>
public sealed record TierRequest(string[] Models, string[] Features, long? TokensPerDay = null, int? DefaultMaxOutputTokens = null, bool? IsDefault = null);

/// <param name="Source"><c>tenant</c>, or <c>platform</c> for a default that the tenant has not replaced.</param>
public sealed record TierResponse(
    string Name, string Object, string Source, string[] Models, string[] Features, long? TokensPerDay, int DefaultMaxOutputTokens, bool IsDefault);

internal static class TierEndpoints
{
    private const int MaxOutputTokens = 1_000_000;
    private static readonly string[] Fields = ["models", "features", "tokens_per_day", "default_max_output_tokens", "is_default"];

    public static void MapTiers(this IEndpointRouteBuilder admin)
    {
        var tiers = admin.MapGroup("/tiers").RequireAuthorization(Policies.TenantAdmin).WithTags("Admin");
        tiers.MapGet("/", ListAsync).WithName("listTiers").WithSummary("The tiers in force for a tenant: its own, and the platform's that it has not replaced.");
        tiers.MapPut("/{name}", PutAsync).WithName("setTier").WithSummary("Set one of the tenant's own tiers; it replaces the platform's of that name.")
            .Accepts<TierRequest>("application/json");
    }

    private static async Task<Ok<ListResponse<TierResponse>>> ListAsync(
        [FromQuery(Name = Administration.TenantQuery)] Guid? tenantId, Administration administration, CancellationToken cancellationToken)
    {
        var tenant = administration.TenantOf(tenantId);
        var rows = await administration.ReadAsync(tenant, (db, token) => db.Tiers.AsNoTracking().ToListAsync(token), cancellationToken);
        // The tenant's own comes first, and wins its name.
        var inForce = rows.OrderByDescending(t => t.TenantId == tenant).DistinctBy(t => t.Name).OrderBy(t => t.Name, StringComparer.Ordinal);
        return TypedResults.Ok(new ListResponse<TierResponse>("list", [.. inForce.Select(Response)], HasMore: false));
    }

    private static async Task<Ok<TierResponse>> PutAsync(
        string name, [FromQuery(Name = Administration.TenantQuery)] Guid? tenantId, HttpContext http, Administration administration, CancellationToken cancellationToken)
    {
        if (name.Length > 63 || !name.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_'))
            throw WireException.BadRequest("'name' must be at most 63 letters, digits, hyphens and underscores.", "name", "invalid_value");
        var fields = await AdminFields.ReadAsync(http.Request, Fields, cancellationToken);
        var tenant = administration.TenantOf(tenantId);
        var models = fields.Words("models") ?? throw WireException.BadRequest("'models' is missing.", "models", "missing_field");
        var features = fields.Words("features") ?? throw WireException.BadRequest("'features' is missing.", "features", "missing_field");
        var tier = new Tier
        {
            TenantId = tenant,
            Name = name,
            Models = models,
            Features = features,
            TokensPerDay = fields.Whole("tokens_per_day", 0, long.MaxValue),
            DefaultMaxOutputTokens = (int)(fields.Whole("default_max_output_tokens", 1, MaxOutputTokens) ?? 1024),
            IsDefault = fields.Flag("is_default") ?? false,
        };
        await administration.AuditedAsync(
            http,
            tenant,
            async (db, entry, token) =>
            {
                await Administration.LockTenantAsync(db, token);
                var own = await db.Tiers.Where(t => t.TenantId == tenant).ToListAsync(token);
                foreach (var other in own.Where(t => tier.IsDefault && t.Name != name))
                    other.IsDefault = false;
                if (own.Find(t => t.Name == name) is { } known)
                    db.Entry(known).CurrentValues.SetValues(tier);
                else
                    db.Tiers.Add(tier);
                return (tier, About(entry, tier));
            },
            cancellationToken);
        return TypedResults.Ok(Response(tier));
    }

    private static AuditEvent About(AuditEvent entry, Tier tier) => entry with
    {
        Action = AuditActions.TierChanged,
        TargetKind = "tier",
        TargetId = tier.Name,
        Details = new JsonObject
        {
            ["models"] = new JsonArray([.. tier.Models.Select(m => (JsonNode)m)]),
            ["features"] = new JsonArray([.. tier.Features.Select(f => (JsonNode)f)]),
            ["tokens_per_day"] = tier.TokensPerDay,
            ["default_max_output_tokens"] = tier.DefaultMaxOutputTokens,
            ["is_default"] = tier.IsDefault,
        },
    };

    private static TierResponse Response(Tier tier) => new(
        tier.Name,
        "tier",
        tier.TenantId == TenantScope.PlatformTenantId ? "platform" : "tenant",
        tier.Models,
        tier.Features,
        tier.TokensPerDay,
        tier.DefaultMaxOutputTokens,
        tier.IsDefault);
}
