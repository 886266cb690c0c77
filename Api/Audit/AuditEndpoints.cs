using System.Text.Json;
using System.Text.Json.Nodes;
using AiAspire.Api.Conversations;
using AiAspire.Api.Identity;
using AiAspire.Core.Audit;
using AiAspire.Core.Data;
using AiAspire.Core.Tenancy;
using AiAspire.Core.Wire;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.EntityFrameworkCore;
using Npgsql;

namespace AiAspire.Api.Audit;

/// <param name="Sequence">The entry's place in its chain; also the cursor.</param>
/// <param name="ActorKind"><c>user</c>, <c>operator</c>, <c>anonymous</c> or <c>system</c>.</param>
/// <param name="Details">Particulars, without personal data.</param>
/// <param name="PrevHash">Hash of the entry before, hexadecimal.</param>
/// <param name="Hash">SHA-256 of this entry, hexadecimal.</param>
public sealed record AuditEntryResponse(
    string Object,
    Guid TenantId,
    long Sequence,
    Guid Id,
    DateTimeOffset At,
    string ActorKind,
    string? ActorId,
    string Action,
    string? TargetKind,
    string? TargetId,
    Guid? RequestId,
    JsonElement Details,
    string PrevHash,
    string Hash);

/// <param name="Intact">Whether the whole chain is as it was written, as far as signed heads and the chain itself can tell.</param>
/// <param name="Entries">Entries that were read.</param>
/// <param name="Fault">null, or altered, missing, unlinked, truncated, rewritten, forged_head, heads_missing.</param>
/// <param name="FirstBadSequence">The first sequence that cannot be trusted.</param>
/// <param name="SignedSequence">The last sequence covered by a head signed outside the database.</param>
public sealed record AuditVerificationResponse(string Object, bool Intact, long Entries, string? Fault, long? FirstBadSequence, long SignedSequence);

internal static partial class AuditEndpoints
{
    private const int DefaultLimit = 50;
    private const int MaxLimit = 200;
    private static readonly JsonSerializerOptions Json = new() { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower };

    public static void MapAudit(this IEndpointRouteBuilder v1)
    {
        var audit = v1.MapGroup("/audit").RequireAuthorization(Policies.Auditor).WithTags("Audit");
        audit.MapGet("/", ListAsync).WithName("listAuditEntries").WithSummary("Your tenant's audit log, newest first. With chain=platform, for operators: the events that belong to no tenant.");
        audit.MapGet("/export", ExportAsync).WithName("exportAuditEntries").WithSummary("The whole audit log as JSON Lines, oldest first. The export is itself audited.")
            .Produces(StatusCodes.Status200OK, contentType: "application/jsonl");
        audit.MapPost("/verify", VerifyAsync).WithName("verifyAuditLog").WithSummary("Recompute the chain and hold it against the heads signed outside the database.");
    }

    private static async Task<Ok<ListResponse<AuditEntryResponse>>> ListAsync(
        RequestCaller caller,
        TenantSessions sessions,
        string? chain,
        string? action,
        DateTimeOffset? from,
        DateTimeOffset? to,
        long? after,
        int? limit,
        CancellationToken cancellationToken)
    {
        if (limit is < 1 or > MaxLimit)
            throw WireException.BadRequest($"'limit' must be between 1 and {MaxLimit}.", "limit", "invalid_value");
        var take = limit ?? DefaultLimit;
        var scope = new TenantScope(ChainOf(chain, caller.Value), caller.Value.UserId, DataReach.Auditor);
        // PostgreSQL takes times in UTC only.
        var (start, end) = (from?.ToUniversalTime(), to?.ToUniversalTime());
        var rows = await sessions.Open(scope).RunAsync(
            (db, token) => db.AuditEntries.AsNoTracking()
                .Where(e => (after == null || e.Sequence < after)
                    && (action == null || e.Action == action)
                    && (start == null || e.At >= start)
                    && (end == null || e.At < end))
                .OrderByDescending(e => e.Sequence)
                .Take(take + 1)
                .ToListAsync(token),
            cancellationToken);
        return TypedResults.Ok(new ListResponse<AuditEntryResponse>("list", [.. rows.Take(take).Select(Response)], rows.Count > take));
    }

    private static async Task ExportAsync(
        HttpContext http, RequestCaller caller, TenantSessions sessions, AuditReader reader, TimeProvider time, string? chain, CancellationToken cancellationToken)
    {
        var tenantId = ChainOf(chain, caller.Value);
        var entry = caller.Value.Audit(http, time, AuditActions.AuditExported, tenantId);
        await sessions.Open(new TenantScope(tenantId, caller.Value.UserId)).RunAsync((db, token) => db.AppendAuditAsync(entry, token), cancellationToken);
        var upTo = (await reader.HeadAsync(tenantId, cancellationToken))?.Sequence ?? 0;
        http.Response.ContentType = "application/jsonl";
        http.Response.Headers.ContentDisposition = "attachment; filename=audit.jsonl";
        await foreach (var row in reader.ReadAsync(tenantId, after: 0, upTo, cancellationToken))
        {
            await JsonSerializer.SerializeAsync(http.Response.Body, Response(row), Json, cancellationToken);
            await http.Response.Body.WriteAsync("\n"u8.ToArray(), cancellationToken);
        }
    }

    private static async Task<Ok<AuditVerificationResponse>> VerifyAsync(
        HttpContext http,
        RequestCaller caller,
        TenantSessions sessions,
        AuditVerifier verifier,
        TimeProvider time,
        ILogger<AuditVerifier> logger,
        string? chain,
        CancellationToken cancellationToken)
    {
        var tenantId = ChainOf(chain, caller.Value);
        var found = await verifier.VerifyAsync(tenantId, cancellationToken);
        var entry = caller.Value.Audit(http, time, AuditActions.AuditVerified, tenantId) with
        {
            Details = new JsonObject { ["intact"] = found.IsIntact, ["first_bad_sequence"] = found.FirstBadSequence },
        };
        try
        {
            await sessions.Open(new TenantScope(tenantId, caller.Value.UserId)).RunAsync((db, token) => db.AppendAuditAsync(entry, token), cancellationToken);
        }
        catch (PostgresException e) when (!found.IsIntact && e.SqlState == PostgresErrorCodes.UniqueViolation)
        {
            // Entries put in beyond the head stand where this one would. What was found must be told all the same.
            LogNotAppended(logger, tenantId, found.Fault, found.FirstBadSequence);
        }

        var fault = found.IsIntact ? null : JsonNamingPolicy.SnakeCaseLower.ConvertName(found.Fault.ToString());
        return TypedResults.Ok(new AuditVerificationResponse(
            "audit.verification", found.IsIntact, found.Entries, fault, found.FirstBadSequence, found.SignedSequence));
    }

    private static Guid ChainOf(string? chain, Caller caller) => chain switch
    {
        null or "own" => caller.TenantId,
        "platform" when caller.IsInRole(Roles.Operator) => TenantScope.PlatformTenantId,
        _ => throw WireException.BadRequest("'chain' must be 'own'; operators may also name 'platform'.", "chain", "invalid_value"),
    };

    private static AuditEntryResponse Response(AuditEntry entry) => new(
        "audit.entry",
        entry.TenantId,
        entry.Sequence,
        entry.EntryId,
        entry.At,
        entry.ActorKind,
        entry.ActorId,
        entry.Action,
        entry.TargetKind,
        entry.TargetId,
        entry.RequestId,
        JsonElement.Parse(entry.Details),
        Convert.ToHexStringLower(entry.PrevHash),
        Convert.ToHexStringLower(entry.Hash));

    [LoggerMessage(Level = LogLevel.Critical, Message = "The audit chain of tenant {Tenant} is {Fault} at {Sequence}, and the verification cannot be appended to it")]
    private static partial void LogNotAppended(ILogger logger, Guid tenant, AuditFault fault, long? sequence);
}
