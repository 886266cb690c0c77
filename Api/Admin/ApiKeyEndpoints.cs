using System.Text.Json.Nodes;
using AiAspire.Api.Conversations;
using AiAspire.Api.Errors;
using AiAspire.Api.Idempotency;
using AiAspire.Api.Identity;
using AiAspire.Core.Audit;
using AiAspire.Core.Data;
using AiAspire.Core.Tenancy;
using AiAspire.Core.Wire;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Mvc;
using Microsoft.EntityFrameworkCore;

namespace AiAspire.Api.Admin;

/// <param name="Name">By which people tell keys apart.</param>
/// <param name="UserId">Whose key it is; without one it is the tenant's and needs the scope <c>act_as_user</c>.</param>
/// <param name="Scopes">Only <c>act_as_user</c>, and only for a key without a user.</param>
/// <param name="ExpiresAt">Default: never.</param>
public sealed record ApiKeyCreateRequest(string Name, Guid? UserId = null, string[]? Scopes = null, DateTimeOffset? ExpiresAt = null);

/// <param name="OverlapSeconds">How long the old key still works: 0 to 30 days. Default one day.</param>
/// <param name="ExpiresAt">When the new key ends. Default: after as long as the old one was to live, or never.</param>
public sealed record ApiKeyRotateRequest(long? OverlapSeconds = null, DateTimeOffset? ExpiresAt = null);

/// <param name="Prefix">The first characters; the rest is known to its holder alone.</param>
/// <param name="LastUsedAt">To the minute.</param>
public sealed record ApiKeyResponse(
    Guid Id,
    string Object,
    string Name,
    string Prefix,
    Guid? UserId,
    string[] Scopes,
    DateTimeOffset CreatedAt,
    DateTimeOffset? ExpiresAt,
    DateTimeOffset? RevokedAt,
    DateTimeOffset? LastUsedAt);

/// <param name="Key">The key itself: shown this once. It is stored nowhere, but for a day, encrypted with the caller's key, for repeats of a request with an Idempotency-Key.</param>
/// <param name="ReplacedExpiresAt">When the key that this one replaces ends.</param>
public sealed record NewApiKeyResponse(ApiKeyResponse ApiKey, string Key, DateTimeOffset? ReplacedExpiresAt);

internal static class ApiKeyEndpoints
{
    private const long DefaultOverlapSeconds = 24 * 60 * 60;
    private const long MaxOverlapSeconds = 30 * DefaultOverlapSeconds;
    private static readonly string[] CreateFields = ["name", "user_id", "scopes", "expires_at"];
    private static readonly string[] RotateFields = ["overlap_seconds", "expires_at"];

    public static void MapApiKeys(this IEndpointRouteBuilder admin)
    {
        var keys = admin.MapGroup("/api-keys").RequireAuthorization(Policies.TenantAdmin).WithTags("Admin");
        keys.MapGet("/", ListAsync).WithName("listApiKeys").WithSummary("The API keys of a tenant, oldest first, by their prefixes.");
        keys.MapPost("/", CreateAsync).WithName("createApiKey").WithSummary("Create an API key; it is shown once.").Accepts<ApiKeyCreateRequest>("application/json").OncePerKey();
        keys.MapPost("/{id}/revoke", RevokeAsync).WithName("revokeApiKey").WithSummary("Revoke a key, on every replica within seconds.")
            .Produces<ErrorBody>(StatusCodes.Status404NotFound);
        keys.MapPost("/{id}/rotate", RotateAsync).WithName("rotateApiKey").WithSummary("Make a new key in place of one that goes on working for a while.")
            .Accepts<ApiKeyRotateRequest>("application/json").Produces<ErrorBody>(StatusCodes.Status404NotFound).OncePerKey();
    }

    private static async Task<Ok<ListResponse<ApiKeyResponse>>> ListAsync(
        [FromQuery(Name = Administration.TenantQuery)] Guid? tenantId, int? limit, Guid? after, Administration administration, CancellationToken cancellationToken)
    {
        var take = Administration.Limit(limit);
        var rows = await administration.ReadAsync(
            administration.TenantOf(tenantId),
            (db, token) => db.ApiKeys.AsNoTracking().Where(k => after == null || k.ApiKeyId > after).OrderBy(k => k.ApiKeyId).Take(take + 1).ToListAsync(token),
            cancellationToken);
        return TypedResults.Ok(new ListResponse<ApiKeyResponse>("list", [.. rows.Take(take).Select(Response)], rows.Count > take));
    }

    private static async Task<Created<NewApiKeyResponse>> CreateAsync(
        [FromQuery(Name = Administration.TenantQuery)] Guid? tenantId, HttpContext http, Administration administration, TimeProvider time, CancellationToken cancellationToken)
    {
        var fields = await AdminFields.ReadAsync(http.Request, CreateFields, cancellationToken);
        var tenant = administration.TenantOf(tenantId);
        var (userId, scopes) = (fields.Id("user_id"), fields.Words("scopes") ?? []);
        if (Array.Find(scopes, s => s != Scopes.ActAsUser) is { } unknown)
            throw WireException.BadRequest($"'{unknown}' is no scope; there is {Scopes.ActAsUser}.", "scopes", "invalid_value");
        if (userId is null != scopes.Length > 0)
            throw WireException.BadRequest($"A key is a user's ('user_id'), or the tenant's with the scope {Scopes.ActAsUser}: exactly one of the two.", userId is null ? "user_id" : "scopes", "invalid_value");
        var (secret, id, now) = (ApiKeyFormat.Create(), time.NewId(), time.GetUtcNow());
        var key = Make(secret, id, tenant, userId, fields.RequiredText("name"), scopes, fields.FutureTime("expires_at", now), now);
        await administration.AuditedAsync(
            http,
            tenant,
            async (db, entry, token) =>
            {
                await ThrowIfNotTheirsAsync(db, administration, userId, "user_id", token);
                db.ApiKeys.Add(key);
                return (key, About(entry, key, AuditActions.ApiKeyCreated));
            },
            cancellationToken,
            made => (null, Answer(made)));
        return TypedResults.Created((string?)null, Answer(key));

        NewApiKeyResponse Answer(ApiKey made) => new(Response(made), secret, ReplacedExpiresAt: null);
    }

    private static async Task<Ok<ApiKeyResponse>> RevokeAsync(
        Guid id, [FromQuery(Name = Administration.TenantQuery)] Guid? tenantId, HttpContext http, Administration administration, TimeProvider time, CancellationToken cancellationToken)
    {
        var now = time.GetUtcNow();
        return TypedResults.Ok(Response(await administration.AuditedAsync(
            http,
            administration.TenantOf(tenantId),
            async (db, entry, token) =>
            {
                // Anyone who administers the tenant may take a key out of use, an operator's too: it takes power away and gives none.
                var key = await FindAsync(db, id, token);
                key.RevokedAt ??= now;
                return (key, About(entry, key, AuditActions.ApiKeyRevoked));
            },
            cancellationToken)));
    }

    private static async Task<Created<NewApiKeyResponse>> RotateAsync(
        Guid id, [FromQuery(Name = Administration.TenantQuery)] Guid? tenantId, HttpContext http, Administration administration, TimeProvider time, CancellationToken cancellationToken)
    {
        var fields = await AdminFields.ReadAsync(http.Request, RotateFields, cancellationToken);
        var overlap = TimeSpan.FromSeconds(fields.Whole("overlap_seconds", 0, MaxOverlapSeconds) ?? DefaultOverlapSeconds);
        var tenant = administration.TenantOf(tenantId);
        var (secret, newId, now) = (ApiKeyFormat.Create(), time.NewId(), time.GetUtcNow());
        var expires = fields.FutureTime("expires_at", now);
        var (old, made) = await administration.AuditedAsync(
            http,
            tenant,
            async (db, entry, token) =>
            {
                var old = await FindAsync(db, id, token);
                await ThrowIfNotTheirsAsync(db, administration, old.UserId, "id", token);
                if (old.RevokedAt is not null || old.ExpiresAt <= now)
                    throw Administration.Conflict("key_not_in_use", "The key was revoked or has expired; create a new one.", "id");
                var made = Make(secret, newId, tenant, old.UserId, old.Name, old.Scopes, expires ?? (now + (old.ExpiresAt - old.CreatedAt)), now);
                old.ExpiresAt = old.ExpiresAt < now + overlap ? old.ExpiresAt : now + overlap;
                db.ApiKeys.Add(made);
                var about = About(entry, old, AuditActions.ApiKeyRotated);
                about.Details!["new_key_id"] = made.ApiKeyId.ToString();
                return ((old, made), about);
            },
            cancellationToken,
            rotated => (null, Answer(rotated.old, rotated.made)));
        return TypedResults.Created((string?)null, Answer(old, made));

        NewApiKeyResponse Answer(ApiKey replaced, ApiKey successor) => new(Response(successor), secret, replaced.ExpiresAt);
    }

    private static ApiKey Make(
        string secret, Guid id, Guid tenant, Guid? userId, string name, string[] scopes, DateTimeOffset? expiresAt, DateTimeOffset now) => new()
        {
            TenantId = tenant,
            ApiKeyId = id,
            UserId = userId,
            Name = name,
            Hash = ApiKeyFormat.Hash(secret),
            Prefix = ApiKeyFormat.Shown(secret),
            Scopes = scopes,
            ExpiresAt = expiresAt,
            CreatedAt = now,
        };

    private static async Task<ApiKey> FindAsync(AiAspireDb db, Guid id, CancellationToken cancellationToken)
        => await db.ApiKeys.SingleOrDefaultAsync(k => k.ApiKeyId == id, cancellationToken) ?? throw Administration.NotFound("API key", "id");

    /// <summary>A key is its user's power in the hands of whoever asked for it.</summary>
    private static async Task ThrowIfNotTheirsAsync(AiAspireDb db, Administration administration, Guid? userId, string param, CancellationToken cancellationToken)
    {
        if (userId is not { } id)
            return;
        var user = await db.Users.AsNoTracking().SingleOrDefaultAsync(u => u.UserId == id, cancellationToken) ?? throw Administration.NotFound("user", param);
        administration.ThrowIfAboveCaller(user);
    }

    private static AuditEvent About(AuditEvent entry, ApiKey key, string action) => entry with
    {
        Action = action,
        TargetKind = "api_key",
        TargetId = key.ApiKeyId.ToString(),
        Details = new JsonObject
        {
            ["user_id"] = key.UserId?.ToString(),
            ["scopes"] = new JsonArray([.. key.Scopes.Select(s => (JsonNode)s)]),
            ["expires_at"] = key.ExpiresAt?.ToString("O"),
        },
    };

    private static ApiKeyResponse Response(ApiKey key) => new(
        key.ApiKeyId, "api_key", key.Name, key.Prefix, key.UserId, key.Scopes, key.CreatedAt, key.ExpiresAt, key.RevokedAt, key.LastUsedAt);
}
