using AiAspire.Core.Data;
using Microsoft.Extensions.Options;

namespace AiAspire.Core.Jobs;

/// <param name="Jobs">Finished jobs with their results.</param>
/// <param name="Events">What jobs said while they ran.</param>
/// <param name="Parts">Parts of works that came to nothing.</param>
public readonly record struct DeletedOfJobs(long Jobs, long Events, long Parts);

/// <summary>
/// Deletes what is kept of jobs for a time only: events after <see cref="JobOptions.EventHours"/>, finished jobs with their results, and parts of
/// works that came to nothing, after the tenant's retention. In short transactions that skip what another worker is deleting.
/// </summary>
public sealed class JobRetention(TenantSessions sessions, IOptions<JobOptions> options)
{
    private const int AtOnce = 1_000;

    public async Task<DeletedOfJobs> DeleteExpiredAsync(CancellationToken cancellationToken) => new(
        await sessions.DeleteInStepsAsync("SELECT aiaspire.delete_expired_jobs($1)", AtOnce, cancellationToken),
        await sessions.DeleteInStepsAsync(
            "SELECT aiaspire.delete_expired_job_events($1, $2)", AtOnce, cancellationToken, Parameter.Of(TimeSpan.FromHours(options.Value.EventHours))),
        await sessions.DeleteInStepsAsync("SELECT aiaspire.delete_expired_job_parts($1)", AtOnce, cancellationToken));
}
