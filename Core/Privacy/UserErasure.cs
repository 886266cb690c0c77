using System.Text.Json.Nodes;
using AiAspire.Core.Audit;
using AiAspire.Core.Data;
using AiAspire.Core.Encryption;
using AiAspire.Core.Tenancy;
using Microsoft.EntityFrameworkCore;

namespace AiAspire.Core.Privacy;

/// <summary>
/// Erases a user. First the account: no credential of theirs works any more, their API keys are revoked and the ledger's pseudonym is
/// theirs no longer. Then the key: what they wrote can be read by nobody, backups included. Stopped between the two, the account is
/// closed and a repeat does the rest; repeating it when all is done changes nothing.
/// </summary>
public sealed class UserErasure(TenantSessions sessions, UserKeys keys, TimeProvider time)
{
    /// <returns>When the user was (first) erased; null when the tenant has no such user.</returns>
    public async Task<DateTimeOffset?> EraseAsync(Guid tenantId, Guid userId, AuditActor by, Guid? requestId, CancellationToken cancellationToken)
    {
        keys.ThrowIfCannotDestroy();
        var entry = new AuditEvent(time.NewId(), by, AuditActions.UserErased) { TargetKind = "user", TargetId = userId.ToString(), RequestId = requestId };
        var pseudonym = time.NewId();
        var now = time.GetUtcNow();
        // As PostgreSQL keeps it, to the microsecond, so that a repeat tells the same.
        now = now.AddTicks(-(now.Ticks % TimeSpan.TicksPerMicrosecond));
        var erasedAt = await sessions.Open(new TenantScope(tenantId, null, DataReach.TenantAdmin)).RunAsync(
            async (db, token) =>
            {
                var user = await db.Users.AsNoTracking().SingleOrDefaultAsync(u => u.UserId == userId, token);
                if (user is null || user.ErasedAt is not null)
                    return user?.ErasedAt;
                await db.Users.Where(u => u.UserId == userId).ExecuteUpdateAsync(
                    u => u.SetProperty(x => x.ErasedAt, now).SetProperty(x => x.Pseudonym, pseudonym), token);
                var revoked = await db.ApiKeys.Where(k => k.UserId == userId && k.RevokedAt == null).ExecuteUpdateAsync(k => k.SetProperty(x => x.RevokedAt, now), token);
                await db.NotifyChangedAsync(CallerDirectory.Topic, token);
                await db.AppendAuditAsync(entry with { Details = new JsonObject { ["api_keys_revoked"] = revoked } }, token);
                return (DateTimeOffset?)now;
            },
            cancellationToken);
        if (erasedAt is not null && !await keys.IsDestroyedAsync(tenantId, userId, cancellationToken))
            await keys.DestroyAsync(tenantId, userId, by, cancellationToken);
        return erasedAt;
    }
}
