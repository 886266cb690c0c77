using AiAspire.Core.Data;
using Microsoft.EntityFrameworkCore;

namespace AiAspire.Core.Audit;

public static class AuditTrail
{
    /// <summary>
    /// Appends to the chain of the session's tenant, inside the session's transaction: an act and its entry commit together or not at
    /// all. Call it last, since the chain stays locked until the transaction ends.
    /// </summary>
    public static Task AppendAuditAsync(this AiAspireDb db, AuditEvent entry, CancellationToken cancellationToken)
    {
        var details = entry.Details?.ToJsonString() ?? "{}";
        return db.Database.ExecuteSqlAsync(
            $"""
            SELECT aiaspire.append_audit({entry.EntryId}, {entry.Actor.Kind}, {entry.Actor.Id}::text, {entry.Action},
                {entry.TargetKind}::text, {entry.TargetId}::text, {entry.RequestId}::uuid, {details}::jsonb)
            """,
            cancellationToken);
    }
}
