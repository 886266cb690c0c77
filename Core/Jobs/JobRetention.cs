using AiAspire.Core.Data;
using Microsoft.Extensions.Options;

namespace AiAspire.Core.Jobs;

/// <summary>
/// Deletes what is kept of jobs for a time only: events after <see cref="JobOptions.EventHours"/>, finished jobs with their results, and parts of
/// works that came to nothing, after the tenant's retention. In short transactions that skip what another worker is deleting.
/// </summary>
public sealed class JobRetention(TenantSessions sessions, IOptions<JobOptions> options)
{
    private const int BatchSize = 1_000;

    /// <returns>Rows deleted.</returns>
    public async Task<long> DeleteExpiredAsync(CancellationToken cancellationToken)
    {
        var kept = TimeSpan.FromHours(options.Value.EventHours);
        return await RepeatAsync("SELECT aiaspire.delete_expired_job_events($1, $2)", kept) + await RepeatAsync("SELECT aiaspire.delete_expired_jobs($1)", null)
            + await RepeatAsync("SELECT aiaspire.delete_expired_job_parts($1)", null);

        async Task<long> RepeatAsync(string sql, TimeSpan? age)
        {
            long all = 0, deleted = BatchSize;
            while (deleted == BatchSize)
            {
                await sessions.CallFunctionAsync(
                    sql, row => deleted = row.GetInt64(0), cancellationToken, age is { } hours ? [Parameter.Of(hours), Parameter.Of(BatchSize)] : [Parameter.Of(BatchSize)]);
                all += deleted;
            }

            return all;
        }
    }
}
