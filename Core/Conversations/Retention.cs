using AiAspire.Core.Data;
using AiAspire.Core.Jobs;
using Microsoft.Extensions.Options;
using Npgsql;

namespace AiAspire.Core.Conversations;

/// <param name="Conversations">That the next run deletes.</param>
/// <param name="Jobs">Finished jobs with their results, the same.</param>
/// <param name="Files">Files, the same.</param>
/// <param name="Batches">Batches, the same.</param>
/// <param name="JobEvents">What jobs said while they ran, past <see cref="JobOptions.EventHours"/>.</param>
/// <param name="JobParts">Parts of works that came to nothing.</param>
public sealed record ExpiredOfTenant(
    Guid TenantId, int RetentionDays, long Conversations, long Jobs, long Files, long Batches, long JobEvents, long JobParts);

/// <summary>Deletes conversations whose last message is older than their tenant's retention, and counts what else is past it.</summary>
public sealed class Retention(TenantSessions sessions, IOptions<JobOptions> jobs)
{
    /// <summary>Conversations per transaction: short locks, and progress that is kept when the run is cut.</summary>
    private const int BatchSize = 500;

    /// <returns>How many conversations were deleted, by tenant.</returns>
    public async Task<IReadOnlyDictionary<Guid, long>> DeleteExpiredAsync(CancellationToken cancellationToken)
    {
        var deleted = new Dictionary<Guid, long>();
        long batch;
        do
        {
            batch = 0;
            await sessions.CallFunctionAsync(
                "SELECT tenant_id, deleted FROM aiaspire.delete_expired_conversations($1)",
                row =>
                {
                    var (tenant, count) = (row.GetGuid(0), row.GetInt64(1));
                    deleted[tenant] = deleted.GetValueOrDefault(tenant) + count;
                    batch += count;
                },
                cancellationToken,
                new NpgsqlParameter<int> { TypedValue = BatchSize });
        }
        while (batch == BatchSize);
        return deleted;
    }

    /// <summary>A dry run: what the next run deletes, by the conditions that it deletes by, for each tenant; tenants with nothing are not there.</summary>
    public async Task<IReadOnlyList<ExpiredOfTenant>> CountExpiredAsync(CancellationToken cancellationToken)
    {
        var expired = new List<ExpiredOfTenant>();
        await sessions.CallFunctionAsync(
            "SELECT tenant_id, retention_days, conversations, jobs, files, batches, job_events, job_parts FROM aiaspire.expired_by_retention($1)",
            row => expired.Add(new ExpiredOfTenant(
                row.GetGuid(0), row.GetInt32(1), row.GetInt64(2), row.GetInt64(3), row.GetInt64(4), row.GetInt64(5), row.GetInt64(6), row.GetInt64(7))),
            cancellationToken,
            Parameter.Of(TimeSpan.FromHours(jobs.Value.EventHours)));
        return expired;
    }
}
