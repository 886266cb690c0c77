using System.Text.Json.Nodes;
using AiAspire.Api.Identity;
using AiAspire.Core.Audit;
using AiAspire.Core.Data;
using AiAspire.Core.Rollouts;
using Microsoft.AspNetCore.Http.HttpResults;

namespace AiAspire.Api.Admin;

/// <param name="Engaged">True refuses every model call with 503.</param>
/// <param name="Reason">Told to callers.</param>
/// <param name="Until">When it is expected to end; told to callers. It ends by hand.</param>
public sealed record KillSwitchRequest(bool Engaged, string? Reason = null, DateTimeOffset? Until = null);

public sealed record KillSwitchResponse(string Scope, bool Engaged, string? Reason, DateTimeOffset? Until, string? ChangedBy, DateTimeOffset? ChangedAt);

internal static class KillSwitchEndpoints
{
    public static void MapKillSwitches(this IEndpointRouteBuilder admin)
    {
        var switches = admin.MapGroup("/kill-switches").RequireAuthorization(Policies.Operator).WithTags("Admin");
        switches.MapGet("/service", Get).WithName("retrieveServiceSwitch").WithSummary("Whether the whole service is switched off.");
        switches.MapPut("/service", PutAsync).WithName("setServiceSwitch").WithSummary("Switch the whole service off or on, on every replica within a second.");
    }

    private static Ok<KillSwitchResponse> Get(KillSwitches switches) => TypedResults.Ok(Response(switches.Service));

    private static async Task<Ok<KillSwitchResponse>> PutAsync(
        KillSwitchRequest request, HttpContext http, RequestCaller caller, KillSwitches switches, TimeProvider time, CancellationToken cancellationToken)
    {
        var entry = caller.Value.Audit(http, time, AuditActions.KillSwitchChanged, TenantScope.PlatformTenantId) with
        {
            TargetKind = "kill_switch",
            TargetId = KillSwitch.ServiceScope,
            Details = new JsonObject { ["engaged"] = request.Engaged, ["until"] = request.Until?.ToString("O") },
        };
        return TypedResults.Ok(Response(await switches.SetServiceAsync(
            request.Engaged, request.Reason, request.Until, $"{caller.Value.TenantSlug}/{caller.Value.ExternalUserId}", entry, cancellationToken)));
    }

    private static KillSwitchResponse Response(KillSwitch? row)
        => new(KillSwitch.ServiceScope, row?.Engaged ?? false, row?.Reason, row?.Until, row?.ChangedBy, row?.ChangedAt);
}
