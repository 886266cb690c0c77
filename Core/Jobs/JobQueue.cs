using System.Diagnostics;
using AiAspire.Core.Data;
using AiAspire.Core.Encryption;
using AiAspire.Core.Wire;
using Microsoft.Extensions.Options;
using Npgsql;

namespace AiAspire.Core.Jobs;

/// <summary>A user's side of the queue: jobs are queued and cancelled, each in the caller's own scope.</summary>
public sealed class JobQueue(
    UserKeys userKeys, JobNotifier notifier, JobMetrics metrics, IOptions<JobOptions> options, TimeProvider time)
{
    private const int MaxBatch = 1_000;
    private const int UniqueRaces = 3;
    private const string UniqueConstraint = "jobs_tenant_id_user_id_unique_key_key";

    // All jobs of a call in one statement: row-level security plans and checks each statement anew.
    private const string InsertSql =
        """
        INSERT INTO aiaspire.jobs (tenant_id, user_id, trace_parent, created_at, job_id, kind, state, priority, available_at, deadline, unique_key, max_tries,
            max_cost, payload, part_of, tries, failures, snoozes, lost_leases, cancel_requested)
        SELECT $1, $2, $3, $4, id, kind, CASE WHEN run_at > now() THEN 'Scheduled' ELSE 'Queued' END, priority, run_at, deadline, unique_key, max_tries,
            max_cost, payload, part_of, 0, 0, 0, 0, false
        FROM unnest($5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
            AS added(id, kind, priority, run_at, deadline, unique_key, max_tries, max_cost, payload, part_of)
        """;

    /// <summary>The completion, which raises when the lease is lost and so undoes the transaction it stands in.</summary>
    private const string FinishSql = "SELECT aiaspire.finish_job($1, $2, $3, $4, $5, $6, $7, $8, $9)";

    /// <summary>Queues a job, in one transaction with the work of <paramref name="inTheSame"/>.</summary>
    /// <param name="session">The user's session.</param>
    /// <param name="spec">The job.</param>
    /// <param name="inTheSame">Adds statements, given the id of the job; called again with another id when a job with the same unique key was there.</param>
    /// <param name="cancellationToken">Cancels.</param>
    /// <exception cref="WireException">413: the payload is too large.</exception>
    public async Task<QueuedJob> EnqueueAsync(
        TenantSession session, JobSpec spec, Action<TenantBatch, Guid>? inTheSame, CancellationToken cancellationToken)
    {
        for (var race = 1; ; race++)
        {
            var batch = new TenantBatch();
            var id = (await AddInsertAsync(batch, session.Scope, [spec], cancellationToken))[0];
            inTheSame?.Invoke(batch, id);
            try
            {
                await session.ExecuteAsync(batch, cancellationToken);
                Told([spec]);
                return new QueuedJob(id, Existing: false);
            }
            catch (PostgresException e) when (e is { SqlState: PostgresErrorCodes.UniqueViolation, ConstraintName: UniqueConstraint } && race <= UniqueRaces)
            {
                if (await FindUniqueAsync(session, spec.UniqueKey!, cancellationToken) is not { } existing)
                    continue; // It has just finished: the key is free again.
                if (inTheSame is not null)
                {
                    var rest = new TenantBatch();
                    inTheSame(rest, existing);
                    await session.ExecuteAsync(rest, cancellationToken);
                }

                return new QueuedJob(existing, Existing: true);
            }
        }
    }

    /// <summary>Queues many jobs of one user in one transaction, all or none.</summary>
    /// <exception cref="WireException">413: a payload is too large.</exception>
    /// <exception cref="PostgresException">A unique key is taken.</exception>
    public async Task<IReadOnlyList<Guid>> EnqueueManyAsync(TenantSession session, IReadOnlyList<JobSpec> specs, CancellationToken cancellationToken)
    {
        var batch = new TenantBatch();
        var ids = await AddAsync(batch, session.Scope, specs, cancellationToken);
        await session.ExecuteAsync(batch, cancellationToken);
        Told(specs);
        return ids;
    }

    /// <summary>Adds many jobs of one user to a transaction; call <see cref="Told"/> when it is committed.</summary>
    /// <exception cref="WireException">413: a payload is too large.</exception>
    public async Task<IReadOnlyList<Guid>> AddAsync(TenantBatch batch, TenantScope scope, IReadOnlyList<JobSpec> specs, CancellationToken cancellationToken)
    {
        var ids = new List<Guid>(specs.Count);
        foreach (var chunk in specs.Chunk(MaxBatch))
            ids.AddRange(await AddInsertAsync(batch, scope, chunk, cancellationToken));
        return ids;
    }

    /// <summary>Wakes workers, and counts.</summary>
    public void Told(IReadOnlyList<JobSpec> specs)
    {
        notifier.JobsWait();
        foreach (var kind in specs.CountBy(s => s.Kind))
            metrics.Enqueued(kind.Key, kind.Value);
    }

    /// <summary>
    /// Cancels a job of the session's user: one that waits at once, one that runs as soon as its worker hears of it.
    /// </summary>
    /// <returns>The state it is in now; <see cref="JobState.Running"/> until the worker has stopped. Null: there is no such job.</returns>
    public async Task<JobState?> CancelAsync(TenantSession session, Guid jobId, CancellationToken cancellationToken)
    {
        string? state = null;
        var query = new NpgsqlBatchCommand("SELECT aiaspire.cancel_job($1, $2, $3)")
        {
            Parameters = { Parameter.Of(session.Scope.TenantId), Parameter.Of(UserOf(session.Scope)), Parameter.Of(jobId) },
        };
        await session.QueryAsync(query, row => state = row.IsDBNull(0) ? null : row.GetString(0), cancellationToken);
        if (state is null)
            return null;
        var now = Enum.Parse<JobState>(state);
        if (now == JobState.Running)
            notifier.Cancel(jobId);
        else
            notifier.JobIsOver(jobId);
        return now;
    }

    /// <summary>The end of a job as a statement for the transaction of its effects: it throws there when the lease is lost, and undoes all.</summary>
    public static void AddFinish(TenantBatch batch, ClaimedJob job, JobEnd end) => batch.Add(
        FinishSql,
        Parameter.Of(job.TenantId),
        Parameter.Of(job.UserId),
        Parameter.Of(job.JobId),
        Parameter.Of(job.LeaseToken),
        Parameter.Of(end.State.ToString()),
        Parameter.Of(end.Result),
        Parameter.Of(end.ErrorCode),
        Parameter.Of(end.ErrorMessage),
        Parameter.Of(end.Cost));

    /// <summary>Lets a transaction of a run count only while the run has its lease, and keeps others from taking the job until it is over.</summary>
    public static void AddHold(TenantBatch batch, ClaimedJob job) => batch.Add(
        "SELECT aiaspire.hold_job($1, $2, $3, $4)", Parameter.Of(job.TenantId), Parameter.Of(job.UserId), Parameter.Of(job.JobId), Parameter.Of(job.LeaseToken));

    /// <summary>Whether an exception of a settling transaction says that the lease was lost (raised by <c>finish_job</c> and <c>hold_job</c>).</summary>
    public static bool IsLeaseLost(PostgresException exception) => exception.SqlState == "AI001";

    private async Task<Guid[]> AddInsertAsync(TenantBatch batch, TenantScope scope, IReadOnlyList<JobSpec> specs, CancellationToken cancellationToken)
    {
        var userId = UserOf(scope);
        foreach (var spec in specs)
            ThrowIfTooLarge(spec);
        var cipher = await userKeys.GetAsync(scope.TenantId, userId, cancellationToken);
        var now = time.GetUtcNow();
        Guid[] ids = [.. specs.Select(_ => time.NewId())];
        var deadline = TimeSpan.FromHours(options.Value.DeadlineHours);
        batch.Add(
            InsertSql,
            Parameter.Of(scope.TenantId),
            Parameter.Of(userId),
            Parameter.Of(Activity.Current?.Id),
            Parameter.Of(now),
            Parameter.Of(ids),
            Column(s => s.Kind),
            Column(s => s.Priority),
            Column(s => s.RunAt?.ToUniversalTime() ?? now),
            Column(s => (s.Deadline ?? ((s.RunAt ?? now) + deadline)).ToUniversalTime()),
            Column(s => s.UniqueKey),
            Column(s => s.MaxTries ?? options.Value.MaxTries),
            Column(s => s.MaxCost),
            Parameter.Of(cipher.EncryptAll([.. specs.Select(s => s.Payload)], i => ClaimedJob.PayloadPlace(ids[i]))),
            Column(s => s.PartOf));
        return ids;

        NpgsqlParameter Column<T>(Func<JobSpec, T> value) => Parameter.Of(specs.Select(value).ToArray());
    }

    private void ThrowIfTooLarge(JobSpec spec)
    {
        var limit = options.Value.MaxPayloadBytes;
        if (spec.Payload.Length > limit)
        {
            throw new WireException(
                413, "invalid_request_error", "payload_too_large",
                $"The job's request has {spec.Payload.Length} bytes; a job takes at most {limit} (Jobs:MaxPayloadBytes). Send less, or split it into several jobs.", "request");
        }
    }

    private static async Task<Guid?> FindUniqueAsync(TenantSession session, string key, CancellationToken cancellationToken)
    {
        Guid? found = null;
        var query = new NpgsqlBatchCommand("SELECT job_id FROM aiaspire.jobs WHERE tenant_id = $1 AND user_id = $2 AND unique_key = $3")
        {
            Parameters = { Parameter.Of(session.Scope.TenantId), Parameter.Of(UserOf(session.Scope)), Parameter.Of(key) },
        };
        await session.QueryAsync(query, row => found = row.GetGuid(0), cancellationToken);
        return found;
    }

    private static Guid UserOf(TenantScope scope) => scope.UserId ?? throw new InvalidOperationException("A job belongs to a user.");
}
