using System.Text.Json.Nodes;
using AiAspire.Api.Conversations;
using AiAspire.Api.Errors;
using AiAspire.Api.Idempotency;
using AiAspire.Api.Identity;
using AiAspire.Core.Audit;
using AiAspire.Core.Data;
using AiAspire.Core.Models;
using AiAspire.Core.Routing;
using AiAspire.Core.Wire;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Mvc;
using Polly.CircuitBreaker;

namespace AiAspire.Api.Admin;

internal static class ProviderEndpoints
{
    private const string OverlapQuery = "overlap_seconds";
    private const int MaxKeyLength = 1000;
    private const int LeastKeyLength = 8;
    private const long DefaultOverlapSeconds = 5 * 60;
    private const long MaxOverlapSeconds = 30 * 24 * 60 * 60;
    private static readonly string[] KeyFields = ["name", "key", "requests_per_minute", "tokens_per_minute", "replaces", "overlap_seconds"];
    private static readonly (string Name, TimeSpan Length)[] Windows = [("1h", TimeSpan.FromHours(1)), ("24h", TimeSpan.FromDays(1)), ("30d", TimeSpan.FromDays(30))];

    public static void MapProviders(this IEndpointRouteBuilder admin)
    {
        var providers = admin.MapGroup("/providers").RequireAuthorization(Policies.Operator).WithTags("Admin");
        providers.MapGet("/", ListAsync).WithName("listProviders").WithSummary("The providers: state, breakers, measured uptime beside the SLA, and the age of their keys.");
        providers.MapGet("/{name}/keys", ListKeysAsync).WithName("listProviderKeys").WithSummary("The keys of a provider, retired ones too; never the keys themselves.")
            .Produces<ErrorBody>(StatusCodes.Status404NotFound);
        providers.MapPost("/{name}/keys", AddKeyAsync).WithName("addProviderKey").WithSummary("Add a key of ours at a provider, in use on every replica within a second.")
            .Accepts<ProviderKeyRequest>("application/json").Produces<ErrorBody>(StatusCodes.Status404NotFound).OncePerKey();
        providers.MapDelete("/{name}/keys/{id}", RetireKeyAsync).WithName("retireProviderKey")
            .WithSummary("Retire a key, at once or after an overlap; calls that run on it end in peace.").Produces<ErrorBody>(StatusCodes.Status404NotFound);
    }

    private static async Task<Ok<ListResponse<ProviderResponse>>> ListAsync(
        ModelCatalog catalog, ProviderStatus status, ProviderBook book, TimeProvider time, CancellationToken cancellationToken)
    {
        var now = time.GetUtcNow();
        var uptimes = new List<(string Window, List<ProviderUptime> Counts)>();
        foreach (var (window, length) in Windows)
            uptimes.Add((window, await book.SinceAsync(now - length, cancellationToken)));
        var providers = new List<ProviderResponse>();
        foreach (var (name, settings) in catalog.Providers.OrderBy(p => p.Key, StringComparer.Ordinal))
            providers.Add(Response(name, settings, status, uptimes, await book.LastProbeAsync(name, cancellationToken)));
        return TypedResults.Ok(new ListResponse<ProviderResponse>("list", providers, HasMore: false));
    }

    private static async Task<Ok<ListResponse<ProviderKeyResponse>>> ListKeysAsync(
        string name, ModelCatalog catalog, ProviderKeyStore store, ProviderStatus status, TimeProvider time, CancellationToken cancellationToken)
    {
        var provider = ProviderOf(catalog, name);
        var inUse = status.Keys(provider);
        var keys = inUse.Where(k => k.Id is null).Select(k => new ProviderKeyResponse(
            null, "provider_key", provider, k.Name, null, k.IsRefused ? "refused" : "in_use", null, null, false, null, k.LastUsed, null, null)).ToList();
        keys.AddRange((await store.ListAsync(provider, cancellationToken)).Select(r => Response(r, inUse, status, time.GetUtcNow())));
        return TypedResults.Ok(new ListResponse<ProviderKeyResponse>("list", keys, HasMore: false));
    }

    private static async Task<Created<ProviderKeyResponse>> AddKeyAsync(
        string name, HttpContext http, RequestCaller caller, ModelCatalog catalog, ProviderKeyStore store, ProviderStatus status, RequestClaim claim, TimeProvider time, CancellationToken cancellationToken)
    {
        var provider = ProviderOf(catalog, name);
        var fields = await AdminFields.ReadAsync(http.Request, KeyFields, cancellationToken);
        var secret = fields.Text("key", MaxKeyLength) ?? throw WireException.BadRequest("'key' is missing.", "key", "missing_field");
        if (secret.Length < LeastKeyLength || secret.Any(c => !char.IsAscii(c) || char.IsWhiteSpace(c)))
            throw WireException.BadRequest($"'key' must be {LeastKeyLength} to {MaxKeyLength} printable ASCII characters without spaces.", "key", "invalid_value");
        var now = time.GetUtcNow();
        var key = new ProviderKey(
            time.NewId(),
            provider,
            fields.RequiredText("name"),
            secret,
            now,
            (int?)fields.Whole("requests_per_minute", 1, int.MaxValue),
            (int?)fields.Whole("tokens_per_minute", 1, int.MaxValue));
        if (key.Name == ProviderKey.ConfiguredName)
            throw WireException.BadRequest($"'{ProviderKey.ConfiguredName}' is the name of the key that configuration gives; choose another.", "name", "invalid_value");
        var replaces = fields.Id("replaces");
        var overlap = TimeSpan.FromSeconds(fields.Whole("overlap_seconds", 0, MaxOverlapSeconds) ?? DefaultOverlapSeconds);
        var row = await store.AddAsync(
                key,
                replaces,
                overlap,
                Entry(http, caller, time, AuditActions.ProviderKeyAdded, provider, key.Id!.Value, replaces),
                (db, added, token) => claim.CompleteAsync(db, StatusCodes.Status201Created, location: null, Response(added, status.Keys(provider), status, now), token),
                cancellationToken)
            ?? throw Administration.NotFound("key of this provider", "replaces");
        return TypedResults.Created((string?)null, Response(row, status.Keys(provider), status, now));
    }

    private static async Task<Ok<ProviderKeyResponse>> RetireKeyAsync(
        string name, Guid id, [FromQuery(Name = OverlapQuery)] long? overlapSeconds, HttpContext http, RequestCaller caller, ModelCatalog catalog, ProviderKeyStore store, ProviderStatus status, TimeProvider time,
        CancellationToken cancellationToken)
    {
        var provider = ProviderOf(catalog, name);
        if (overlapSeconds is < 0 or > MaxOverlapSeconds)
            throw WireException.BadRequest($"'{OverlapQuery}' must be between 0 and {MaxOverlapSeconds}.", OverlapQuery, "invalid_value");
        var row = await store.RetireAsync(
                provider, id, TimeSpan.FromSeconds(overlapSeconds ?? 0), Entry(http, caller, time, AuditActions.ProviderKeyRetired, provider, id, null), cancellationToken)
            ?? throw Administration.NotFound("key of this provider", "id");
        return TypedResults.Ok(Response(row, status.Keys(provider), status, time.GetUtcNow()));
    }

    private static AuditEvent Entry(HttpContext http, RequestCaller caller, TimeProvider time, string action, string provider, Guid key, Guid? replaces)
        => caller.Value.Audit(http, time, action, TenantScope.PlatformTenantId) with
        {
            TargetKind = "provider_key",
            TargetId = key.ToString(),
            Details = new JsonObject { ["provider"] = provider, ["replaces"] = replaces?.ToString() },
        };

    private static string ProviderOf(ModelCatalog catalog, string name)
        => catalog.Providers.Keys.FirstOrDefault(p => string.Equals(p, name, StringComparison.OrdinalIgnoreCase))
            ?? throw new WireException(404, "invalid_request_error", "not_found", $"There is no provider '{name}'; GET /v1/admin/providers lists them.", "name");

    private static ProviderKeyResponse Response(StoredProviderKey row, IReadOnlyList<KeyStatus> inUse, ProviderStatus status, DateTimeOffset now)
    {
        var used = inUse.FirstOrDefault(k => k.Id == row.ProviderKeyId);
        var state = row.RetiresAt <= now ? "retired" : row.RetiresAt is not null ? "retiring" : used?.IsRefused == true ? "refused" : "in_use";
        return new ProviderKeyResponse(
            row.ProviderKeyId, "provider_key", row.Provider, row.Name, row.Hint, state, row.CreatedAt, status.AgeDays(row.CreatedAt),
            row.RetiresAt is null && status.IsDue(row.CreatedAt), row.RetiresAt, Later(row.LastUsedAt, used?.LastUsed), row.RequestsPerMinute, row.TokensPerMinute);
    }

    private static ProviderResponse Response(
        string name, ProviderOptions settings, ProviderStatus status, List<(string Window, List<ProviderUptime> Counts)> uptimes, ProviderMinute? probe)
    {
        var targets = status.Targets(name);
        var keys = status.Keys(name);
        var oldest = keys.Min(k => k.AddedAt);
        var open = targets.Count(t => t.Breaker != CircuitState.Closed);
        var probeFailed = probe is { Failed: > 0 } && probe.Failed == probe.Total;
        var state = keys.Count == 0 ? "no_key" : probeFailed || (open > 0 && open == targets.Count) ? "down" : open > 0 ? "degraded" : "up";
        return new ProviderResponse(
            name, "provider", settings.Company, settings.Wire == ProviderWire.Anthropic ? "anthropic" : "openai", state, settings.SlaPercent,
            [.. uptimes.Select(u => Response(u.Window, name, u.Counts, settings.SlaPercent))],
            probe?.Minute, probeFailed ? probe!.LastError : null, keys.Count, status.AgeDays(oldest), status.IsDue(oldest),
            [.. targets.Select(Response)]);
    }

    private static ProviderUptimeResponse Response(string window, string provider, List<ProviderUptime> counts, double? sla)
    {
        var probes = Of(ProviderMinute.Probe);
        var attempts = Of(ProviderMinute.Attempts);
        bool? met = sla is null || (probes.Percent ?? attempts.Percent) is null ? null : !(probes.Percent < sla) && !(attempts.Percent < sla);
        return new ProviderUptimeResponse(window, probes.Total, probes.Percent, attempts.Total, attempts.Percent, met);

        UptimeCount Of(string source) => counts.Find(c => c.Provider == provider && c.Source == source)?.Count ?? new UptimeCount(0, 0);
    }

    private static ProviderTargetResponse Response(TargetStatus target) => new(
        target.Target.Model.Id,
        AdminFields.Word(target.Breaker),
        target.Waiting,
        target.Lanes.Sum(l => l.InFlight),
        target.Target.Model.RequestsPerMinute,
        target.Target.Model.TokensPerMinute,
        [.. target.Lanes.Select(l => new ProviderLaneResponse(l.Key, l.IsRefused ? "refused" : l.Cooling > TimeSpan.Zero ? "cooling" : "in_use", l.InFlight))]);

    private static DateTimeOffset? Later(DateTimeOffset? a, DateTimeOffset? b) => a is null || b > a ? b : a;
}
