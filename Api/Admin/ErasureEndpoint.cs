using AiAspire.Api.Errors;
using AiAspire.Api.Identity;
using AiAspire.Core.Privacy;
using AiAspire.Core.Tenancy;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Mvc;
using Microsoft.EntityFrameworkCore;

namespace AiAspire.Api.Admin;

/// <param name="ErasedAt">When it was first done; a repeat gives the same.</param>
public sealed record UserErasedResponse(Guid Id, string Object, DateTimeOffset ErasedAt);

internal static class ErasureEndpoint
{
    public static void MapErasure(this IEndpointRouteBuilder admin)
        => admin.MapDelete("/users/{id}", EraseAsync).RequireAuthorization(Policies.TenantAdmin).WithTags("Admin").WithName("eraseUser")
            .WithSummary("Erase a user for good: their credentials end, their key is destroyed, and what they wrote can never be read again. May be repeated.")
            .Produces<ErrorBody>(StatusCodes.Status404NotFound);

    private static async Task<Ok<UserErasedResponse>> EraseAsync(
        Guid id,
        [FromQuery(Name = Administration.TenantQuery)] Guid? tenantId,
        HttpContext http,
        RequestCaller caller,
        Administration administration,
        UserErasure erasure,
        TimeProvider time,
        CancellationToken cancellationToken)
    {
        var tenant = administration.TenantOf(tenantId);
        await administration.ReadAsync(
            tenant,
            async (db, token) =>
            {
                administration.ThrowIfAboveCaller(
                    await db.Users.AsNoTracking().SingleOrDefaultAsync(u => u.UserId == id, token) ?? throw Administration.NotFound("user", "id"));
                return true;
            },
            cancellationToken);
        var by = caller.Value.Audit(http, time, action: "", tenant).Actor;
        var at = await erasure.EraseAsync(tenant, id, by, RequestIds.Of(http), cancellationToken) ?? throw Administration.NotFound("user", "id");
        return TypedResults.Ok(new UserErasedResponse(id, "user.erased", at));
    }
}
