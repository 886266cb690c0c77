using System.Diagnostics;
using AiAspire.Core.Data;
using AiAspire.Core.Encryption;
using Npgsql;

namespace AiAspire.Core.Jobs;

/// <summary>A job in the hands of this worker, until its lease ends.</summary>
public sealed record ClaimedJob(
    Guid TenantId, Guid JobId, Guid UserId, string Kind, byte[] Payload, int Tries, int MaxTries, Guid LeaseToken, string? TraceParent)
{
    public TenantScope Scope => new(TenantId, UserId);

    public static ContentPlace PayloadPlace(Guid jobId) => new("jobs", "payload", jobId);

    public static ContentPlace ResultPlace(Guid jobId) => new("jobs", "result", jobId);
}

/// <summary>The lease ended and the job is someone else's, or cancelled: nothing of this worker's may count.</summary>
public sealed class LeaseLostException(Guid jobId, Exception? inner = null) : Exception($"The lease of job {jobId} is lost.", inner);

/// <summary>
/// A queue in PostgreSQL. Claims take <c>FOR UPDATE SKIP LOCKED</c> in a transaction of their own, never held across the work; every later
/// step is fenced by the lease token.
/// </summary>
public sealed class JobQueue(TenantSessions sessions, UserKeys userKeys, TimeProvider time)
{
    /// <summary>The NOTIFY channel that wakes workers; only a hint, they poll beneath it.</summary>
    public const string Channel = "aiaspire_jobs";

    // The check stands in the statement itself, so that it holds in whatever transaction the statement runs.
    private const string FinishSql = "SELECT aiaspire.finish_job($1, $2, $3, $4, $5, $6, $7)";

    /// <summary>Queues a job.</summary>
    /// <param name="session">The user's session.</param>
    /// <param name="kind">Which handler runs it.</param>
    /// <param name="payload">What the handler gets.</param>
    /// <param name="inTheSame">More work for the transaction that queues the job, given the job's id.</param>
    /// <param name="cancellationToken">Cancels.</param>
    public async Task<Guid> EnqueueAsync(
        TenantSession session, string kind, ReadOnlyMemory<byte> payload, Func<AiAspireDb, Guid, CancellationToken, Task>? inTheSame, CancellationToken cancellationToken)
    {
        var scope = session.Scope;
        var userId = scope.UserId ?? throw new InvalidOperationException("A job belongs to a user.");
        var cipher = await userKeys.GetAsync(scope.TenantId, userId, cancellationToken);
        var (jobId, now) = (time.NewId(), time.GetUtcNow());
        var job = new Job
        {
            TenantId = scope.TenantId,
            JobId = jobId,
            UserId = userId,
            Kind = kind,
            AvailableAt = now,
            CreatedAt = now,
            Payload = cipher.Encrypt(payload.Span, ClaimedJob.PayloadPlace(jobId)),
            TraceParent = Activity.Current?.Id,
        };
        await session.RunAsync(
            async (db, token) =>
            {
                db.Jobs.Add(job);
                await db.SaveChangesAsync(token);
                if (inTheSame is not null)
                    await inTheSame(db, jobId, token);
                await Microsoft.EntityFrameworkCore.RelationalDatabaseFacadeExtensions.ExecuteSqlAsync(db.Database, $"SELECT pg_notify({Channel}, '')", token);
            },
            cancellationToken);
        return jobId;
    }

    /// <summary>Takes up to <paramref name="limit"/> jobs that are due or whose worker let its lease end.</summary>
    public async Task<List<ClaimedJob>> ClaimAsync(string worker, int limit, TimeSpan lease, CancellationToken cancellationToken)
    {
        var claimed = new List<ClaimedJob>();
        await sessions.CallFunctionAsync(
            "SELECT tenant_id, job_id, user_id, kind, payload, tries, max_tries, lease_token, trace_parent FROM aiaspire.claim_jobs($1, $2, $3)",
            row => claimed.Add(new ClaimedJob(
                row.GetGuid(0),
                row.GetGuid(1),
                row.GetGuid(2),
                row.GetString(3),
                row.GetFieldValue<byte[]>(4),
                row.GetInt32(5),
                row.GetInt32(6),
                row.GetGuid(7),
                row.IsDBNull(8) ? null : row.GetString(8))),
            cancellationToken,
            Parameter.Of(worker),
            Parameter.Of(limit),
            Parameter.Of(lease));
        return claimed;
    }

    /// <summary>Renews the lease; false when it is lost.</summary>
    public async Task<bool> HeartbeatAsync(ClaimedJob job, TimeSpan lease, CancellationToken cancellationToken)
    {
        var batch = new TenantBatch().Add(
            "UPDATE aiaspire.jobs SET available_at = now() + $4 WHERE tenant_id = $1 AND job_id = $2 AND lease_token = $3 AND state = 'Running'",
            Parameter.Of(job.TenantId),
            Parameter.Of(job.JobId),
            Parameter.Of(job.LeaseToken),
            Parameter.Of(lease));
        return (await sessions.Open(job.Scope).ExecuteAsync(batch, cancellationToken))[0] == 1;
    }

    /// <summary>The completion as a statement for the transaction of the work itself: it throws there when the lease is lost, and undoes all.</summary>
    public static void AddCompletion(TenantBatch batch, ClaimedJob job, byte[] encryptedResult)
        => AddFinish(batch, job, JobState.Succeeded, encryptedResult, errorCode: null, errorMessage: null);

    /// <summary>Gives up for good.</summary>
    /// <exception cref="LeaseLostException">Someone else has the job.</exception>
    public async Task FailAsync(ClaimedJob job, string errorCode, string errorMessage, CancellationToken cancellationToken)
    {
        var batch = new TenantBatch();
        AddFinish(batch, job, JobState.Failed, result: null, errorCode, errorMessage);
        try
        {
            await sessions.Open(job.Scope).ExecuteAsync(batch, cancellationToken);
        }
        catch (PostgresException e) when (IsLeaseLost(e))
        {
            throw new LeaseLostException(job.JobId, e);
        }
    }

    /// <summary>Puts the job back, to be taken again after <paramref name="delay"/>; a lost lease makes this do nothing.</summary>
    /// <param name="job">The job.</param>
    /// <param name="delay">How long to wait.</param>
    /// <param name="countsAsTry">False for a wait that is not the job's fault (limits, shutdown): the try is given back.</param>
    /// <param name="errorCode">Why, for whoever looks at the job meanwhile.</param>
    /// <param name="cancellationToken">Cancels.</param>
    public async Task ReleaseAsync(ClaimedJob job, TimeSpan delay, bool countsAsTry, string? errorCode, CancellationToken cancellationToken)
    {
        var batch = new TenantBatch().Add(
            """
            UPDATE aiaspire.jobs SET state = 'Queued', available_at = now() + $4, tries = tries - $5, lease_token = NULL, worker = NULL, error_code = $6
            WHERE tenant_id = $1 AND job_id = $2 AND lease_token = $3 AND state = 'Running'
            """,
            Parameter.Of(job.TenantId),
            Parameter.Of(job.JobId),
            Parameter.Of(job.LeaseToken),
            Parameter.Of(delay),
            Parameter.Of(countsAsTry ? 0 : 1),
            Parameter.Of(errorCode));
        await sessions.Open(job.Scope).ExecuteAsync(batch, cancellationToken);
    }

    /// <summary>Whether an exception of a settling transaction says that the lease was lost (raised by <c>finish_job</c>).</summary>
    public static bool IsLeaseLost(PostgresException exception) => exception.SqlState == "AI001";

    private static void AddFinish(TenantBatch batch, ClaimedJob job, JobState state, byte[]? result, string? errorCode, string? errorMessage)
        => batch.Add(
            FinishSql,
            Parameter.Of(job.TenantId),
            Parameter.Of(job.JobId),
            Parameter.Of(job.LeaseToken),
            Parameter.Of(state.ToString()),
            Parameter.Of(result),
            Parameter.Of(errorCode),
            Parameter.Of(errorMessage));
}
