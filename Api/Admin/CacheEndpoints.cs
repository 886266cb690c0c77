using AiAspire.Api.Identity;
using AiAspire.Core.Audit;
using AiAspire.Core.Caching;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Mvc;

namespace AiAspire.Api.Admin;

internal static class CacheEndpoints
{
    public static void MapCache(this IEndpointRouteBuilder admin)
        => admin.MapDelete("/cache", ForgetAsync).RequireAuthorization(Policies.TenantAdmin).WithTags("Admin")
            .WithName("forgetCache").WithSummary("Forget every cached reply of a tenant, at once on all replicas.");

    private static async Task<NoContent> ForgetAsync(
        [FromQuery(Name = Administration.TenantQuery)] Guid? tenantId, HttpContext http, Administration administration, ReplyCache cache, CancellationToken cancellationToken)
    {
        var tenant = administration.TenantOf(tenantId);
        await administration.AuditedAsync(
            http,
            tenant,
            (_, entry, _) => Task.FromResult((true, entry with { Action = AuditActions.CacheForgotten, TargetKind = "cache", TargetId = tenant.ToString() })),
            cancellationToken);
        await cache.ForgetAsync(tenant);
        return TypedResults.NoContent();
    }
}
