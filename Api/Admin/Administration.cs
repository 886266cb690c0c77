using AiAspire.Api.Idempotency;
using AiAspire.Api.Identity;
using AiAspire.Core.Audit;
using AiAspire.Core.Data;
using AiAspire.Core.Tenancy;
using AiAspire.Core.Wire;
using Microsoft.EntityFrameworkCore;

namespace AiAspire.Api.Admin;

/// <summary>
/// What all administrative operations share: whose rows they reach, and that a change, its audit entry and the word to the other
/// replicas are one transaction, as is the answer that is kept for a request's repeats.
/// </summary>
internal sealed class Administration(RequestCaller caller, TenantSessions sessions, RequestClaim claim, TimeProvider time)
{
    /// <summary>The query parameter with which operators name the tenant.</summary>
    public const string TenantQuery = "tenant_id";

    private const int DefaultLimit = 20;
    private const int MaxLimit = 100;

    public bool IsOperator => caller.Value.IsInRole(Roles.Operator);

    /// <summary>The tenant that is administered: one's own, or for operators any. Another's is 404, as if it were not there.</summary>
    public Guid TenantOf(Guid? named) => named is not { } id || id == caller.Value.TenantId
        ? caller.Value.TenantId
        : IsOperator && id != TenantScope.PlatformTenantId ? id : throw NotFound("tenant", TenantQuery);

    /// <summary>Reads in the tenant's scope without leaving a trace: for what is nobody's personal data.</summary>
    public Task<T> ReadAsync<T>(Guid tenantId, Func<AiAspireDb, CancellationToken, Task<T>> work, CancellationToken cancellationToken)
        => Open(tenantId).RunAsync(
            async (db, token) =>
            {
                await ThrowIfMissingAsync(db, tenantId, token);
                return await work(db, token);
            },
            cancellationToken);

    /// <summary>Reads or changes in the tenant's scope, with an entry in that tenant's chain.</summary>
    /// <param name="http">The request, named in the entry.</param>
    /// <param name="tenantId">From <see cref="TenantOf"/>.</param>
    /// <param name="work">Gets an entry to complete, and returns it with its result. It may run again, so ids and keys come from outside.</param>
    /// <param name="cancellationToken">Cancels.</param>
    /// <param name="created">Of an endpoint that creates: its answer, made of the result.</param>
    public Task<T> AuditedAsync<T>(
        HttpContext http,
        Guid tenantId,
        Func<AiAspireDb, AuditEvent, CancellationToken, Task<(T Result, AuditEvent Entry)>> work,
        CancellationToken cancellationToken,
        Func<T, (string? Location, object Body)>? created = null)
    {
        var blank = caller.Value.Audit(http, time, action: "", tenantId);
        return Open(tenantId).RunAsync(
            async (db, token) =>
            {
                await ThrowIfMissingAsync(db, tenantId, token);
                return await FinishAsync(db, await work(db, blank, token), created, token);
            },
            cancellationToken);
    }

    /// <summary>The same for a tenant that does not exist yet.</summary>
    public Task<T> CreateTenantAsync<T>(
        HttpContext http,
        Guid tenantId,
        Func<AiAspireDb, AuditEvent, (T Result, AuditEvent Entry)> work,
        Func<T, (string? Location, object Body)> created,
        CancellationToken cancellationToken)
    {
        var blank = caller.Value.Audit(http, time, action: "", tenantId);
        return Open(tenantId).RunAsync((db, token) => FinishAsync(db, work(db, blank), created, token), cancellationToken);
    }

    /// <summary>
    /// Lets one change of a tenant's tiers and administrators come after the other, so that each sees what the one before did. Held until
    /// the transaction ends; rows that refer to the tenant can still be inserted.
    /// </summary>
    public static Task LockTenantAsync(AiAspireDb db, CancellationToken cancellationToken)
        => db.Database.ExecuteSqlAsync($"SELECT FROM aiaspire.tenants WHERE tenant_id = {db.TenantId} FOR NO KEY UPDATE", cancellationToken);

    public static WireException NotFound(string what, string param)
        => new(404, "invalid_request_error", "not_found", $"There is no {what} with this id.", param);

    public static WireException Conflict(string code, string message, string param)
        => new(409, "invalid_request_error", code, message, param);

    public static int Limit(int? limit) => limit switch
    {
        null => DefaultLimit,
        >= 1 and <= MaxLimit => limit.Value,
        _ => throw WireException.BadRequest($"'limit' must be between 1 and {MaxLimit}.", "limit", "invalid_value"),
    };

    /// <summary>
    /// Whoever holds the operator role reaches all tenants, so an administrator of the tenant the operator happens to be in must get
    /// no hold on them: neither their roles and status, nor a key of theirs.
    /// </summary>
    public void ThrowIfAboveCaller(User user)
    {
        if (!IsOperator && user.Roles.Contains(Roles.Operator, StringComparer.Ordinal))
            throw new WireException(403, "permission_error", "insufficient_role", "Only an operator administers an operator.");
    }

    private async Task<T> FinishAsync<T>(
        AiAspireDb db, (T Result, AuditEvent Entry) done, Func<T, (string? Location, object Body)>? created, CancellationToken cancellationToken)
    {
        if (db.ChangeTracker.HasChanges())
        {
            await db.SaveChangesAsync(cancellationToken);
            await db.NotifyChangedAsync(CallerDirectory.Topic, cancellationToken);
        }

        await db.AppendAuditAsync(done.Entry, cancellationToken);
        if (created?.Invoke(done.Result) is { } answer)
            await claim.CompleteAsync(db, StatusCodes.Status201Created, answer.Location, answer.Body, cancellationToken);
        return done.Result;
    }

    private async Task ThrowIfMissingAsync(AiAspireDb db, Guid tenantId, CancellationToken cancellationToken)
    {
        if (tenantId != caller.Value.TenantId && !await db.Tenants.AnyAsync(cancellationToken))
            throw NotFound("tenant", TenantQuery);
    }

    private TenantSession Open(Guid tenantId) => sessions.Open(new TenantScope(tenantId, caller.Value.UserId, DataReach.TenantAdmin));
}
