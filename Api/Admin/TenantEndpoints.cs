using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using AiAspire.Api.Conversations;
using AiAspire.Api.Errors;
using AiAspire.Api.Idempotency;
using AiAspire.Api.Identity;
using AiAspire.Core.Audit;
using AiAspire.Core.Data;
using AiAspire.Core.Tenancy;
using AiAspire.Core.Wire;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.EntityFrameworkCore;
using Npgsql;

namespace AiAspire.Api.Admin;

/// <param name="Slug">Short name in tokens: lower-case letters, digits and hyphens; for good.</param>
/// <param name="TokensPerDay">Of all users together; null: no limit.</param>
/// <param name="TokensPerMinute">Of all users together; null: no limit.</param>
/// <param name="RetentionDays">Days after its last message at which a conversation is deleted. Default 90.</param>
public sealed record TenantCreateRequest(string Slug, string Name, string? Plan = null, long? TokensPerDay = null, long? TokensPerMinute = null, int? RetentionDays = null);

/// <param name="Status"><c>active</c> or <c>suspended</c>; a suspended tenant's calls are refused everywhere within seconds.</param>
public sealed record TenantPatchRequest(
    string? Name = null, string? Plan = null, long? TokensPerDay = null, long? TokensPerMinute = null, int? RetentionDays = null, string? Status = null);

public sealed record TenantResponse(
    Guid Id, string Object, string Slug, string Name, string Plan, string Status, long? TokensPerDay, long? TokensPerMinute, int RetentionDays, DateTimeOffset CreatedAt);

internal static partial class TenantEndpoints
{
    private const int MaxRetentionDays = 3650;
    private static readonly string[] PatchFields = ["name", "plan", "tokens_per_day", "tokens_per_minute", "retention_days", "status"];
    private static readonly string[] CreateFields = ["slug", "name", "plan", "tokens_per_day", "tokens_per_minute", "retention_days"];

    public static void MapTenants(this IEndpointRouteBuilder admin)
    {
        var tenants = admin.MapGroup("/tenants").WithTags("Admin");
        tenants.MapGet("/{id}", GetAsync).RequireAuthorization(Policies.TenantAdmin).WithName("retrieveTenant").WithSummary("A tenant: one's own, for operators any.")
            .Produces<ErrorBody>(StatusCodes.Status404NotFound);
        tenants.MapGet("/", ListAsync).RequireAuthorization(Policies.Operator).WithName("listTenants").WithSummary("All tenants, oldest first.");
        tenants.MapPost("/", CreateAsync).RequireAuthorization(Policies.Operator).WithName("createTenant").WithSummary("Create a tenant.")
            .Accepts<TenantCreateRequest>("application/json").OncePerKey();
        tenants.MapPatch("/{id}", PatchAsync).RequireAuthorization(Policies.Operator).WithName("updateTenant").WithSummary("Change a tenant's name, plan, limits, retention or status.")
            .Accepts<TenantPatchRequest>("application/json").Produces<ErrorBody>(StatusCodes.Status404NotFound);
    }

    private static async Task<Ok<TenantResponse>> GetAsync(Guid id, Administration administration, CancellationToken cancellationToken)
        => TypedResults.Ok(Response(await administration.ReadAsync(
            administration.TenantOf(id), (db, token) => db.Tenants.AsNoTracking().SingleAsync(token), cancellationToken)));

    private static async Task<Ok<ListResponse<TenantResponse>>> ListAsync(TenantSessions sessions, int? limit, Guid? after, CancellationToken cancellationToken)
    {
        var take = Administration.Limit(limit);
        var rows = new List<TenantResponse>();
        await sessions.CallFunctionAsync(
            "SELECT tenant_id, slug, name, plan, status, tokens_per_day, tokens_per_minute, retention_days, created_at FROM aiaspire.list_tenants($1, $2)",
            row => rows.Add(new TenantResponse(
                row.GetGuid(0),
                "tenant",
                row.GetString(1),
                row.GetString(2),
                row.GetString(3),
                AdminFields.Word(Enum.Parse<AccountStatus>(row.GetString(4))),
                row.IsDBNull(5) ? null : row.GetInt64(5),
                row.IsDBNull(6) ? null : row.GetInt64(6),
                row.GetInt32(7),
                row.GetFieldValue<DateTimeOffset>(8))),
            cancellationToken,
            new NpgsqlParameter<Guid> { TypedValue = after ?? Guid.Empty },
            new NpgsqlParameter<int> { TypedValue = take + 1 });
        return TypedResults.Ok(new ListResponse<TenantResponse>("list", [.. rows.Take(take)], rows.Count > take));
    }

    private static async Task<Created<TenantResponse>> CreateAsync(
        HttpContext http, Administration administration, TimeProvider time, CancellationToken cancellationToken)
    {
        var fields = await AdminFields.ReadAsync(http.Request, CreateFields, cancellationToken);
        var slug = fields.RequiredText("slug");
        if (!Slug().IsMatch(slug))
            throw WireException.BadRequest("'slug' must be 2 to 63 lower-case letters, digits and inner hyphens, with a letter first.", "slug", "invalid_value");
        var tenant = new Tenant
        {
            TenantId = time.NewId(),
            Slug = slug,
            Name = fields.RequiredText("name"),
            Plan = fields.Text("plan") ?? "standard",
            CreatedAt = time.GetUtcNow(),
        };
        Apply(tenant, fields);
        try
        {
            await administration.CreateTenantAsync(
                http,
                tenant.TenantId,
                (db, entry) =>
                {
                    db.Tenants.Add(tenant);
                    return (tenant, About(entry, tenant, AuditActions.TenantCreated));
                },
                made => (Location(made.TenantId), Response(made)),
                cancellationToken);
        }
        catch (DbUpdateException e) when (e.InnerException is PostgresException { SqlState: PostgresErrorCodes.UniqueViolation })
        {
            throw Administration.Conflict("slug_taken", $"There is a tenant '{slug}' already.", "slug");
        }

        return TypedResults.Created(Location(tenant.TenantId), Response(tenant));
    }

    private static async Task<Ok<TenantResponse>> PatchAsync(Guid id, HttpContext http, Administration administration, CancellationToken cancellationToken)
    {
        var fields = await AdminFields.ReadAsync(http.Request, PatchFields, cancellationToken);
        var changed = await administration.AuditedAsync(
            http,
            administration.TenantOf(id),
            async (db, entry, token) =>
            {
                var tenant = await db.Tenants.SingleAsync(token);
                var before = tenant.Status;
                Apply(tenant, fields);
                var action = (before, tenant.Status) switch
                {
                    (AccountStatus.Active, AccountStatus.Suspended) => AuditActions.TenantSuspended,
                    (AccountStatus.Suspended, AccountStatus.Active) => AuditActions.TenantResumed,
                    _ => AuditActions.TenantChanged,
                };
                return (tenant, About(entry, tenant, action));
            },
            cancellationToken);
        return TypedResults.Ok(Response(changed));
    }

    private static void Apply(Tenant tenant, AdminFields fields)
    {
        tenant.Name = fields.Text("name") ?? tenant.Name;
        tenant.Plan = fields.Text("plan") ?? tenant.Plan;
        tenant.Status = fields.Choice<AccountStatus>("status") ?? tenant.Status;
        if (fields.Has("tokens_per_day"))
            tenant.TokensPerDay = fields.Whole("tokens_per_day", 0, long.MaxValue);
        if (fields.Has("tokens_per_minute"))
            tenant.TokensPerMinute = fields.Whole("tokens_per_minute", 0, long.MaxValue);
        tenant.RetentionDays = (int)(fields.Whole("retention_days", 1, MaxRetentionDays) ?? tenant.RetentionDays);
    }

    /// <summary>The settings as they are after the change. The tenant's name may be a person's, so it is left out.</summary>
    private static AuditEvent About(AuditEvent entry, Tenant tenant, string action) => entry with
    {
        Action = action,
        TargetKind = "tenant",
        TargetId = tenant.TenantId.ToString(),
        Details = new JsonObject
        {
            ["plan"] = tenant.Plan,
            ["status"] = AdminFields.Word(tenant.Status),
            ["tokens_per_day"] = tenant.TokensPerDay,
            ["tokens_per_minute"] = tenant.TokensPerMinute,
            ["retention_days"] = tenant.RetentionDays,
        },
    };

    private static string Location(Guid id) => $"/v1/admin/tenants/{id}";

    private static TenantResponse Response(Tenant tenant) => new(
        tenant.TenantId,
        "tenant",
        tenant.Slug,
        tenant.Name,
        tenant.Plan,
        AdminFields.Word(tenant.Status),
        tenant.TokensPerDay,
        tenant.TokensPerMinute,
        tenant.RetentionDays,
        tenant.CreatedAt);

    [GeneratedRegex("^[a-z][a-z0-9-]{0,61}[a-z0-9]$", RegexOptions.CultureInvariant, matchTimeoutMilliseconds: 1000)]
    private static partial Regex Slug();
}
