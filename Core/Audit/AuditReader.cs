using System.Runtime.CompilerServices;
using AiAspire.Core.Data;
using Microsoft.EntityFrameworkCore;

namespace AiAspire.Core.Audit;

/// <summary>Reads chains in pages, each in a transaction of its own.</summary>
public sealed class AuditReader(TenantSessions sessions)
{
    private const int PageSize = 500;

    /// <summary>The head as the database has it; null for a chain without entries.</summary>
    public Task<AuditHead?> HeadAsync(Guid tenantId, CancellationToken cancellationToken)
        => Open(tenantId).RunAsync((db, token) => db.AuditHeads.AsNoTracking().SingleOrDefaultAsync(token), cancellationToken);

    /// <summary>The entries of a chain in order, from after one sequence up to and including another.</summary>
    public async IAsyncEnumerable<AuditEntry> ReadAsync(
        Guid tenantId, long after, long upTo, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        while (true)
        {
            var start = after;
            var page = await Open(tenantId).RunAsync(
                (db, token) => db.AuditEntries.AsNoTracking()
                    .Where(e => e.Sequence > start && e.Sequence <= upTo)
                    .OrderBy(e => e.Sequence)
                    .Take(PageSize)
                    .ToListAsync(token),
                cancellationToken);
            foreach (var entry in page)
                yield return entry;
            if (page.Count < PageSize)
                yield break;
            after = page[^1].Sequence;
        }
    }

    private TenantSession Open(Guid tenantId) => sessions.Open(new TenantScope(tenantId, null, DataReach.Auditor));
}
