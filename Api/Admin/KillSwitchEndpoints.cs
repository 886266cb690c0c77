using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using AiAspire.Api.Conversations;
using AiAspire.Api.Identity;
using AiAspire.Api.Models;
using AiAspire.Core.Audit;
using AiAspire.Core.Data;
using AiAspire.Core.Models;
using AiAspire.Core.Rollouts;
using AiAspire.Core.Wire;
using Microsoft.AspNetCore.Http.HttpResults;

namespace AiAspire.Api.Admin;

/// <param name="Engaged">True refuses the calls with 503.</param>
/// <param name="Reason">Told to callers.</param>
/// <param name="Until">When it is expected to end; told to callers. It ends by hand.</param>
[JsonUnmappedMemberHandling(JsonUnmappedMemberHandling.Disallow)]
public sealed record KillSwitchRequest([property: JsonRequired] bool Engaged, string? Reason = null, DateTimeOffset? Until = null);

/// <param name="Scope"><c>service</c>, or kind and name as in <c>feature:summaries</c>.</param>
public sealed record KillSwitchResponse(string Scope, bool Engaged, string? Reason, DateTimeOffset? Until, string? ChangedBy, DateTimeOffset? ChangedAt);

internal static class KillSwitchEndpoints
{
    private const int MaxName = 200;

    public static void MapKillSwitches(this IEndpointRouteBuilder admin)
    {
        var switches = admin.MapGroup("/kill-switches").RequireAuthorization(Policies.Operator).WithTags("Admin");
        switches.MapGet("/", ListAsync).WithName("listKillSwitches").WithSummary("Every switch that was ever set, engaged or not.");
        switches.MapGet("/service", GetAsync).WithName("retrieveServiceSwitch").WithSummary("Whether the whole service is switched off.");
        switches.MapPut("/service", PutServiceAsync).WithName("setServiceSwitch").WithSummary("Switch the whole service off or on, on every replica within a second.");
        switches.MapPut("/{kind}/{name}", PutAsync).WithName("setKillSwitch")
            .WithSummary("Switch a tenant (by id), feature, model or provider off or on, on every replica within a second.");
    }

    private static async Task<Ok<ListResponse<KillSwitchResponse>>> ListAsync(KillSwitches switches, CancellationToken cancellationToken)
        => TypedResults.Ok(new ListResponse<KillSwitchResponse>("list", [.. (await switches.ListAsync(cancellationToken)).Select(Response)], HasMore: false));

    private static async Task<Ok<KillSwitchResponse>> GetAsync(KillSwitches switches, CancellationToken cancellationToken)
    {
        var scope = KillSwitch.ScopeOf(SwitchKind.Service, null);
        return TypedResults.Ok((await switches.ListAsync(cancellationToken)).FirstOrDefault(s => s.Scope == scope) is { } row
            ? Response(row)
            : new KillSwitchResponse(scope, Engaged: false, null, null, null, null));
    }

    private static Task<Ok<KillSwitchResponse>> PutServiceAsync(
        KillSwitchRequest request, HttpContext http, RequestCaller caller, KillSwitches switches, TimeProvider time, CancellationToken cancellationToken)
        => SetAsync(SwitchKind.Service, null, request, http, caller, switches, time, cancellationToken);

    private static Task<Ok<KillSwitchResponse>> PutAsync(
        string kind, NameInPath name, KillSwitchRequest request, HttpContext http, RequestCaller caller, KillSwitches switches, ModelCatalog catalog, TimeProvider time,
        CancellationToken cancellationToken)
    {
        var subject = name.Value;
        SwitchKind? named = kind switch
        {
            "tenant" => SwitchKind.Tenant,
            "feature" => SwitchKind.Feature,
            "model" => SwitchKind.Model,
            "provider" => SwitchKind.Provider,
            _ => null,
        };
        if (named is not { } scope)
            throw WireException.BadRequest("'kind' must be one of tenant, feature, model, provider.", "kind", "invalid_value");
        if (subject.Length > MaxName || subject.Any(char.IsControl))
            throw WireException.BadRequest($"'name' must be at most {MaxName} characters of text.", "name", "invalid_value");
        if (scope == SwitchKind.Tenant)
            subject = Guid.TryParse(subject, out var id) ? id.ToString() : throw WireException.BadRequest("A tenant is named by its id (a UUID).", "name", "invalid_value");
        // Who is in a hurry must learn of a slip: a switch of that name would stop nothing. What is gone may always be released.
        if (request.Engaged && scope == SwitchKind.Model && !catalog.Knows(subject))
            throw Unknown("model or alias", subject, "models");
        if (request.Engaged && scope == SwitchKind.Provider && !catalog.Providers.ContainsKey(subject))
            throw Unknown("provider", subject, "providers");
        return SetAsync(scope, subject, request, http, caller, switches, time, cancellationToken);
    }

    private static async Task<Ok<KillSwitchResponse>> SetAsync(
        SwitchKind kind, string? name, KillSwitchRequest request, HttpContext http, RequestCaller caller, KillSwitches switches, TimeProvider time, CancellationToken cancellationToken)
    {
        var entry = caller.Value.Audit(http, time, AuditActions.KillSwitchChanged, TenantScope.PlatformTenantId) with
        {
            TargetKind = "kill_switch",
            TargetId = KillSwitch.ScopeOf(kind, name),
            Details = new JsonObject { ["engaged"] = request.Engaged, ["until"] = request.Until?.ToString("O") },
        };
        return TypedResults.Ok(Response(await switches.SetAsync(
            kind, name, request.Engaged, request.Reason, request.Until, $"{caller.Value.TenantSlug}/{caller.Value.ExternalUserId}", entry, cancellationToken)));
    }

    private static WireException Unknown(string what, string name, string list)
        => WireException.BadRequest($"There is no {what} '{name}'; GET /v1/admin/{list} lists the {list}.", "name", "invalid_value");

    private static KillSwitchResponse Response(KillSwitch row) => new(row.Scope, row.Engaged, row.Reason, row.Until, row.ChangedBy, row.ChangedAt);
}
