using System.Net;
using System.Net.Sockets;
using System.Text.Json.Nodes;
using AiAspire.Core.Audit;
using AiAspire.Core.Data;
using AiAspire.Core.Tenancy;

namespace AiAspire.Api.Identity;

/// <summary>Audit entries of requests: who, in which request, and what the credential was refused for.</summary>
internal static class CallerAudit
{
    /// <summary>An entry for what this caller does to a tenant: as a user of it, or else as an operator.</summary>
    public static AuditEvent Audit(this Caller caller, HttpContext http, TimeProvider time, string action, Guid tenantId)
        => new(time.NewId(), tenantId == caller.TenantId ? AuditActor.User(caller.UserId) : AuditActor.Operator(caller.UserId), action)
        {
            RequestId = RequestIds.Of(http),
        };

    /// <summary>A credential that was refused, in the platform's chain: it belongs to no tenant.</summary>
    public static Task LoginFailedAsync(HttpContext http, string code)
    {
        var source = NetworkOf(http.Connection.RemoteIpAddress);
        return Record(http, TenantScope.PlatformTenantId, http.Connection.RemoteIpAddress?.ToString() ?? source, AuditActor.Anonymous, AuditActions.LoginFailed,
            new JsonObject { ["code"] = code, ["network"] = source });
    }

    /// <summary>A caller that named another tenant than its own, in its own tenant's chain.</summary>
    public static Task CrossingRefusedAsync(HttpContext http, Caller caller)
        => Record(http, caller.TenantId, caller.UserId.ToString(), AuditActor.User(caller.UserId), AuditActions.CrossTenantRefused,
            new JsonObject { ["header"] = CallerClaims.TenantHeader, ["api_key_id"] = caller.ApiKeyId?.ToString() });

    private static Task Record(HttpContext http, Guid chain, string source, AuditActor actor, string action, JsonObject details)
    {
        var services = http.RequestServices;
        var entry = new AuditEvent(services.GetRequiredService<TimeProvider>().NewId(), actor, action) { RequestId = RequestIds.Of(http), Details = details };
        return services.GetRequiredService<SecurityEvents>().RecordAsync(chain, source, entry);
    }

    /// <summary>The address without its last part (IPv4 /24, IPv6 /48): enough to see an attack by, and no one's own address.</summary>
    internal static string NetworkOf(IPAddress? address)
    {
        if (address is null)
            return "unknown";
        if (address.IsIPv4MappedToIPv6)
            address = address.MapToIPv4();
        var kept = address.AddressFamily == AddressFamily.InterNetwork ? 3 : 6;
        var bytes = address.GetAddressBytes();
        bytes.AsSpan(kept).Clear();
        return $"{new IPAddress(bytes)}/{kept * 8}";
    }
}

/// <summary>Writes down credentials that were refused while the caller was being identified.</summary>
internal sealed class LoginAudit(RequestDelegate next)
{
    /// <summary>What the caller got wrong about a good credential, and what was written down where it was found.</summary>
    private static readonly HashSet<string> NotLogins = new(StringComparer.Ordinal) { "missing_user", "invalid_user", CallerClaims.TenantMismatch };

    public async Task InvokeAsync(HttpContext http)
    {
        try
        {
            await next(http);
        }
        catch (IdentityException e) when (!NotLogins.Contains(e.Code))
        {
            await CallerAudit.LoginFailedAsync(http, e.Code);
            throw;
        }
    }
}
