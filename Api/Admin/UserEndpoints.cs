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
using Npgsql;

namespace AiAspire.Api.Admin;

/// <param name="ExternalId">The tenant's own name for the user: a token's <c>sub</c>.</param>
/// <param name="Tier">Default: the tier that new users get.</param>
/// <param name="Roles">Of user, tenant_admin, moderator, auditor. Default: user.</param>
public sealed record UserCreateRequest(string ExternalId, string? Tier = null, string[]? Roles = null);

/// <param name="Status"><c>active</c> or <c>suspended</c>; a suspended user's calls are refused everywhere within seconds.</param>
public sealed record UserPatchRequest(string? Tier = null, string[]? Roles = null, string? Status = null);

public sealed record UserResponse(Guid Id, string Object, string ExternalId, string Tier, string[] Roles, string Status, DateTimeOffset CreatedAt);

internal static class UserEndpoints
{
    private const int MaxExternalId = 256;
    private static readonly string[] CreateFields = ["external_id", "tier", "roles"];
    private static readonly string[] PatchFields = ["tier", "roles", "status"];

    /// <summary>What can be granted here. The operator role reaches all tenants: it comes from the identity provider, never from a tenant.</summary>
    private static readonly string[] Grantable = [Roles.User, Roles.TenantAdmin, Roles.Moderator, Roles.Auditor];

    public static void MapUsers(this IEndpointRouteBuilder admin)
    {
        var users = admin.MapGroup("/users").RequireAuthorization(Policies.TenantAdmin).WithTags("Admin");
        users.MapGet("/", ListAsync).WithName("listUsers").WithSummary("The users of a tenant, oldest first. Audited.");
        users.MapGet("/{id}", GetAsync).WithName("retrieveUser").WithSummary("A user of a tenant. Audited.").Produces<ErrorBody>(StatusCodes.Status404NotFound);
        users.MapPost("/", CreateAsync).WithName("createUser").WithSummary("Create a user.")
            .Accepts<UserCreateRequest>("application/json").OncePerKey();
        users.MapPatch("/{id}", PatchAsync).WithName("updateUser").WithSummary("Change a user's tier, roles or status, on every replica within seconds.")
            .Accepts<UserPatchRequest>("application/json").Produces<ErrorBody>(StatusCodes.Status404NotFound).Produces<ErrorBody>(StatusCodes.Status409Conflict);
    }

    private static async Task<Ok<ListResponse<UserResponse>>> ListAsync(
        [FromQuery(Name = Administration.TenantQuery)] Guid? tenantId,
        int? limit,
        Guid? after,
        HttpContext http,
        Administration administration,
        CancellationToken cancellationToken)
    {
        var take = Administration.Limit(limit);
        var rows = await administration.AuditedAsync(
            http,
            administration.TenantOf(tenantId),
            async (db, entry, token) =>
            {
                var users = await db.Users.AsNoTracking().Where(u => after == null || u.UserId > after).OrderBy(u => u.UserId).Take(take + 1).ToListAsync(token);
                return (users, entry with { Action = AuditActions.UsersRead, Details = new JsonObject { ["count"] = Math.Min(take, users.Count) } });
            },
            cancellationToken);
        return TypedResults.Ok(new ListResponse<UserResponse>("list", [.. rows.Take(take).Select(Response)], rows.Count > take));
    }

    private static async Task<Ok<UserResponse>> GetAsync(
        Guid id, [FromQuery(Name = Administration.TenantQuery)] Guid? tenantId, HttpContext http, Administration administration, CancellationToken cancellationToken)
        => TypedResults.Ok(Response(await administration.AuditedAsync(
            http,
            administration.TenantOf(tenantId),
            async (db, entry, token) => (await FindAsync(db, id, token), entry with { Action = AuditActions.UsersRead, TargetKind = "user", TargetId = id.ToString() }),
            cancellationToken)));

    private static async Task<Created<UserResponse>> CreateAsync(
        [FromQuery(Name = Administration.TenantQuery)] Guid? tenantId, HttpContext http, Administration administration, TimeProvider time, CancellationToken cancellationToken)
    {
        var fields = await AdminFields.ReadAsync(http.Request, CreateFields, cancellationToken);
        var externalId = fields.Text("external_id", MaxExternalId) ?? throw WireException.BadRequest("'external_id' is missing.", "external_id", "missing_field");
        var roles = RolesOf(fields, held: []) ?? [Roles.User];
        var tenant = administration.TenantOf(tenantId);
        var (userId, pseudonym, now) = (time.NewId(), time.NewId(), time.GetUtcNow());
        try
        {
            var user = await administration.AuditedAsync(
                http,
                tenant,
                async (db, entry, token) =>
                {
                    var user = new User
                    {
                        TenantId = tenant,
                        UserId = userId,
                        ExternalId = externalId,
                        Tier = await TierOfAsync(db, fields, token) ?? await DefaultTierAsync(db, tenant, token),
                        Roles = roles,
                        Pseudonym = pseudonym,
                        CreatedAt = now,
                    };
                    db.Users.Add(user);
                    return (user, About(entry, user, AuditActions.UserCreated));
                },
                cancellationToken,
                made => (Location(userId), Response(made)));
            return TypedResults.Created(Location(userId), Response(user));
        }
        catch (DbUpdateException e) when (e.InnerException is PostgresException { SqlState: PostgresErrorCodes.UniqueViolation })
        {
            throw Administration.Conflict("user_exists", "The tenant has a user of this name already.", "external_id");
        }
    }

    private static async Task<Ok<UserResponse>> PatchAsync(
        Guid id, [FromQuery(Name = Administration.TenantQuery)] Guid? tenantId, HttpContext http, Administration administration, CancellationToken cancellationToken)
    {
        var fields = await AdminFields.ReadAsync(http.Request, PatchFields, cancellationToken);
        var changed = await administration.AuditedAsync(
            http,
            administration.TenantOf(tenantId),
            async (db, entry, token) =>
            {
                await Administration.LockTenantAsync(db, token);
                var user = await FindAsync(db, id, token);
                administration.ThrowIfAboveCaller(user);
                var (before, administered) = (user.Status, Administers(user));
                user.Tier = await TierOfAsync(db, fields, token) ?? user.Tier;
                user.Roles = RolesOf(fields, held: user.Roles) ?? user.Roles;
                user.Status = fields.Choice<AccountStatus>("status") ?? user.Status;
                if (administered && !Administers(user) && !administration.IsOperator)
                    await ThrowIfLastAdministratorAsync(db, id, token);
                var action = (before, user.Status) switch
                {
                    (AccountStatus.Active, AccountStatus.Suspended) => AuditActions.UserSuspended,
                    (AccountStatus.Suspended, AccountStatus.Active) => AuditActions.UserResumed,
                    _ => AuditActions.UserChanged,
                };
                return (user, About(entry, user, action));
            },
            cancellationToken);
        return TypedResults.Ok(Response(changed));
    }

    private static bool Administers(User user) => user.Status == AccountStatus.Active && user.Roles.Contains(Roles.TenantAdmin, StringComparer.Ordinal);

    /// <summary>A tenant without an administrator could not help itself any more.</summary>
    private static async Task ThrowIfLastAdministratorAsync(AiAspireDb db, Guid id, CancellationToken cancellationToken)
    {
        if (!await db.Users.AnyAsync(u => u.UserId != id && u.Status == AccountStatus.Active && u.Roles.Contains(Roles.TenantAdmin), cancellationToken))
        {
            throw Administration.Conflict(
                "last_administrator", "This is the tenant's last administrator. Give another user the role tenant_admin first, or ask an operator.", "id");
        }
    }

    private static string Location(Guid id) => $"/v1/admin/users/{id}";

    private static async Task<User> FindAsync(AiAspireDb db, Guid id, CancellationToken cancellationToken)
        => await db.Users.SingleOrDefaultAsync(u => u.UserId == id, cancellationToken) ?? throw Administration.NotFound("user", "id");

    /// <param name="fields">The request.</param>
    /// <param name="held">Roles the user has; one that cannot be granted may stay.</param>
    private static string[]? RolesOf(AdminFields fields, string[] held)
    {
        if (fields.Words("roles") is not { } roles)
            return null;
        if (roles.Contains(Roles.Operator, StringComparer.Ordinal) && !held.Contains(Roles.Operator, StringComparer.Ordinal))
            throw new WireException(403, "permission_error", "role_not_grantable", "The operator role is granted by your identity provider, never here.", "roles");
        return Array.Find(roles, r => r != Roles.Operator && !Grantable.Contains(r, StringComparer.Ordinal)) is { } unknown
            ? throw WireException.BadRequest($"'{unknown}' is no role; there are {string.Join(", ", Grantable)}.", "roles", "invalid_value")
            : roles;
    }

    private static async Task<string?> TierOfAsync(AiAspireDb db, AdminFields fields, CancellationToken cancellationToken)
    {
        if (fields.Text("tier") is not { } tier)
            return null;
        return await db.Tiers.AnyAsync(t => t.Name == tier, cancellationToken)
            ? tier
            : throw WireException.BadRequest($"There is no tier '{tier}'. GET /v1/admin/tiers lists them.", "tier", "invalid_value");
    }

    private static Task<string> DefaultTierAsync(AiAspireDb db, Guid tenant, CancellationToken cancellationToken)
        => db.Tiers.Where(t => t.IsDefault).OrderByDescending(t => t.TenantId == tenant).Select(t => t.Name).FirstAsync(cancellationToken);

    private static AuditEvent About(AuditEvent entry, User user, string action) => entry with
    {
        Action = action,
        TargetKind = "user",
        TargetId = user.UserId.ToString(),
        Details = new JsonObject
        {
            ["tier"] = user.Tier,
            ["roles"] = new JsonArray([.. user.Roles.Select(r => (JsonNode)r)]),
            ["status"] = AdminFields.Word(user.Status),
        },
    };

    private static UserResponse Response(User user)
        => new(user.UserId, "user", user.ExternalId, user.Tier, user.Roles, AdminFields.Word(user.Status), user.CreatedAt);
}
