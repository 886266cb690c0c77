using System.Security.Claims;
using AiAspire.Core.Tenancy;
using AiAspire.ServiceDefaults.Logging;

namespace AiAspire.Api.Identity;

internal static class CallerClaims
{
    public const string UserHeader = "X-AiAspire-User";
    public const string TenantHeader = "X-Tenant-Id";
    public const string TenantMismatch = "tenant_mismatch";

    /// <summary>Makes the caller known to this request, once its tenant agrees with what the request itself names.</summary>
    public static async Task<ClaimsPrincipal> EstablishAsync(HttpContext http, Caller caller, string scheme)
    {
        if (http.Request.Headers.TryGetValue(TenantHeader, out var named)
            && !(named.Count == 1 && (string.Equals(named[0], caller.TenantSlug, StringComparison.Ordinal)
                || (Guid.TryParse(named[0], out var id) && id == caller.TenantId))))
        {
            await CallerAudit.CrossingRefusedAsync(http, caller);
            throw new IdentityException(TenantMismatch, $"{TenantHeader} names another tenant than the credential.", forbidden: true);
        }

        http.RequestServices.GetRequiredService<RequestCaller>().Set(caller);
        var identity = new ClaimsIdentity(
            [
                new Claim("sub", caller.ExternalUserId),
                new Claim("tenant_id", caller.TenantId.ToString()),
                .. caller.Roles.Select(r => new Claim("roles", r)),
            ],
            scheme,
            nameType: "sub",
            roleType: "roles");
        return new ClaimsPrincipal(identity);
    }
}

/// <summary>Puts the caller's ids on every log line of the rest of the request.</summary>
internal sealed class CallerLogging(RequestDelegate next)
{
    public async Task InvokeAsync(HttpContext http, RequestCaller caller)
    {
        if (http.User.Identity is not { IsAuthenticated: true })
        {
            await next(http);
            return;
        }

        using (LogContext.Push(tenantId: caller.Value.TenantId.ToString(), userId: caller.Value.UserId.ToString()))
            await next(http);
    }
}
