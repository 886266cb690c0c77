using AiAspire.Core.Data;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace AiAspire.Core.Jobs;

/// <summary>What a worker may take.</summary>
/// <param name="Worker">The worker's name.</param>
/// <param name="Kinds">Kinds it has handlers for; jobs of others are left to workers that have.</param>
/// <param name="Slots">Slots that are free: most jobs.</param>
/// <param name="Lease">Until then they are nobody else's.</param>
/// <param name="TenantCap">Most jobs of one tenant that run at once, over all workers.</param>
public sealed record ClaimRequest(string Worker, string[] Kinds, int Slots, TimeSpan Lease, int TenantCap)
{
    /// <summary>
    /// A worker takes a further job of a tenant only while it runs fewer of its jobs than this many times its free slots, so that a slot is free for whoever
    /// comes next: dynamic thresholds (Choudhury and Hahne, IEEE/ACM Transactions on Networking 6(2), 1998). One busy tenant fills seven slots of eight,
    /// two fill fourteen of fifteen; below eight slots a single one may fill them all.
    /// </summary>
    public const int TenantShare = 7;

    /// <summary>Whether a tenant of which <paramref name="running"/> jobs run here may have another.</summary>
    public static bool Allows(int running, int freeSlots) => running < TenantShare * freeSlots;
}

/// <param name="Held">Leases that still hold.</param>
/// <param name="Cancel">Those of them whose job is to be cancelled.</param>
public sealed record RenewedLeases(IReadOnlySet<Guid> Held, IReadOnlySet<Guid> Cancel);

/// <summary>
/// The workers' side of the queue, over all tenants. A claim takes <c>FOR UPDATE SKIP LOCKED</c> in a transaction of its own, never held
/// across the work; every later step is fenced by the lease token. What is said here to the database survives its repetition.
/// </summary>
public sealed partial class JobLeases(TenantSessions sessions, TimeProvider time, ILogger<JobLeases> logger)
{
    private const string ClaimSql =
        """
        SELECT tenant_id, user_id, job_id, kind, tries, failures, snoozes, lost_leases, max_tries, lease_token, trace_parent, ready_at, deadline,
            max_cost, cancel_requested, visit, priority, running_since
        FROM aiaspire.claim_jobs($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
        """;

    private readonly ClaimCursor _cursor = new(time);

    // Where the next claim goes on in the ring of tenants.
    private Guid _lastTenant;

    /// <summary>When a claim that found nothing is worth repeating though no one says that jobs wait; null: the last one looked at everything.</summary>
    public TimeSpan? LooksAtAllIn => _cursor.LooksAtAllIn;

    /// <summary>
    /// Takes jobs that are ready or whose worker let its lease end: in turn from all tenants, first from those that run fewest.
    /// Not for several callers at once.
    /// </summary>
    public async Task<List<ClaimedJob>> ClaimAsync(ClaimRequest request, CancellationToken cancellationToken)
    {
        var claimed = new List<ClaimedJob>();
        var (visited, last) = (-1, _lastTenant);
        var look = _cursor.Begin();
        await sessions.CallFunctionAsync(
            ClaimSql,
            row =>
            {
                var job = Read(row);
                claimed.Add(job);
                look.Took(job.TenantId, row.GetInt16(16), job.ReadyAt, row.GetFieldValue<DateTimeOffset>(17));
                if (row.GetInt32(15) is var visit && visit > visited)
                    (visited, last) = (visit, job.TenantId);
            },
            cancellationToken,
            Parameter.Of(request.Worker),
            Parameter.Of(request.Kinds),
            Parameter.Of(request.Slots),
            Parameter.Of(request.Lease),
            Parameter.Of(request.TenantCap),
            Parameter.Of(ClaimRequest.TenantShare),
            Parameter.Of(_lastTenant),
            Parameter.Of(look.OldestFirst),
            Parameter.Of(look.RunningSince),
            Parameter.Of(look.Tenants),
            Parameter.Of(look.Priorities),
            Parameter.Of(look.From));
        look.End();
        _lastTenant = last;
        return claimed.Count == 0 ? claimed : await WithPayloadsAsync(claimed, cancellationToken);
    }

    /// <summary>
    /// Not with the claim, which no other may overtake: a worker that hangs while large payloads are on their way to it would hold up all. What another has
    /// taken meanwhile is left out.
    /// </summary>
    private async Task<List<ClaimedJob>> WithPayloadsAsync(List<ClaimedJob> claimed, CancellationToken cancellationToken)
    {
        Dictionary<Guid, byte[]> payloads;
        try
        {
            payloads = await ReadAsync();
        }
        catch (NpgsqlException e) when (e.IsTransient)
        {
            // They would else wait for their leases to end; a connection breaks more often than a server.
            payloads = await ReadAsync();
        }

        foreach (var lost in claimed.Where(j => !payloads.ContainsKey(j.LeaseToken)))
            LogLost(logger, lost.JobId);
        return [.. claimed.Where(j => payloads.ContainsKey(j.LeaseToken)).Select(j => j with { Payload = payloads[j.LeaseToken] })];

        async Task<Dictionary<Guid, byte[]>> ReadAsync()
        {
            var read = new Dictionary<Guid, byte[]>();
            await sessions.CallFunctionAsync(
                "SELECT lease_token, payload FROM aiaspire.job_payloads($1, $2, $3, $4)",
                row => read[row.GetGuid(0)] = row.GetFieldValue<byte[]>(1),
                cancellationToken,
                Column(claimed, j => j.TenantId),
                Column(claimed, j => j.UserId),
                Column(claimed, j => j.JobId),
                Column(claimed, j => j.LeaseToken));
            return read;
        }
    }

    /// <summary>Renews the leases of all jobs of a process in one statement.</summary>
    public async Task<RenewedLeases> RenewAsync(IReadOnlyCollection<ClaimedJob> jobs, TimeSpan lease, CancellationToken cancellationToken)
    {
        var (held, cancel) = (new HashSet<Guid>(), new HashSet<Guid>());
        await sessions.CallFunctionAsync(
            "SELECT lease_token, cancel_requested FROM aiaspire.renew_jobs($1, $2, $3, $4, $5)",
            row =>
            {
                held.Add(row.GetGuid(0));
                if (row.GetBoolean(1))
                    cancel.Add(row.GetGuid(0));
            },
            cancellationToken,
            Column(jobs, j => j.TenantId),
            Column(jobs, j => j.UserId),
            Column(jobs, j => j.JobId),
            Column(jobs, j => j.LeaseToken),
            Parameter.Of(lease));
        return new RenewedLeases(held, cancel);
    }

    /// <summary>
    /// Puts a job back, to be taken again after <paramref name="delay"/>. One whose cancellation was asked for meanwhile is cancelled instead.
    /// </summary>
    /// <param name="job">The job.</param>
    /// <param name="delay">How long to wait.</param>
    /// <param name="failed">Counts against its tries.</param>
    /// <param name="snoozed">Waits through nobody's fault; neither of the two for a worker that stops.</param>
    /// <param name="errorCode">Why, for whoever looks at the job meanwhile.</param>
    /// <param name="cancellationToken">Cancels.</param>
    /// <exception cref="LeaseLostException">Someone else has the job.</exception>
    public async Task<JobState> ReleaseAsync(ClaimedJob job, TimeSpan delay, bool failed, bool snoozed, string? errorCode, CancellationToken cancellationToken)
    {
        string? state = null;
        var query = new NpgsqlBatchCommand("SELECT aiaspire.release_job($1, $2, $3, $4, $5, $6, $7, $8)")
        {
            Parameters =
            {
                Parameter.Of(job.TenantId), Parameter.Of(job.UserId), Parameter.Of(job.JobId), Parameter.Of(job.LeaseToken), Parameter.Of(delay),
                Parameter.Of(failed ? 1 : 0), Parameter.Of(snoozed ? 1 : 0), Parameter.Of(errorCode),
            },
        };
        await sessions.Open(job.Scope).QueryAsync(query, row => state = row.IsDBNull(0) ? null : row.GetString(0), cancellationToken);
        return state is null ? throw new LeaseLostException(job.JobId) : Enum.Parse<JobState>(state);
    }

    /// <summary>Ends jobs that have no transaction of their own, all in one statement.</summary>
    /// <returns>The lease tokens of those that ended; what is missing was no longer ours.</returns>
    public async Task<IReadOnlySet<Guid>> FinishAsync(IReadOnlyList<(ClaimedJob Job, JobEnd End)> jobs, CancellationToken cancellationToken)
    {
        var done = new HashSet<Guid>();
        await sessions.CallFunctionAsync(
            "SELECT lease_token FROM aiaspire.finish_jobs($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            row => done.Add(row.GetGuid(0)),
            cancellationToken,
            Column(jobs, j => j.Job.TenantId),
            Column(jobs, j => j.Job.UserId),
            Column(jobs, j => j.Job.JobId),
            Column(jobs, j => j.Job.LeaseToken),
            Column(jobs, j => j.End.State.ToString()),
            Column(jobs, j => j.End.Result),
            Column(jobs, j => j.End.ErrorCode),
            Column(jobs, j => j.End.ErrorMessage),
            Column(jobs, j => j.End.Cost));
        return done;
    }

    /// <summary>A look at the whole queue.</summary>
    public async Task<QueueStatus> ReadStatusAsync(CancellationToken cancellationToken)
    {
        QueueStatus? status = null;
        await sessions.CallFunctionAsync(
            "SELECT queued, scheduled, running, oldest_ready_seconds, dead_tuples, oldest_xmin_age FROM aiaspire.job_queue_status()",
            row => status = new QueueStatus(row.GetInt64(0), row.GetInt64(1), row.GetInt64(2), row.GetDouble(3), row.GetInt64(4), row.GetInt64(5)),
            cancellationToken);
        return status!;
    }

    private static ClaimedJob Read(NpgsqlDataReader row) => new()
    {
        TenantId = row.GetGuid(0),
        UserId = row.GetGuid(1),
        JobId = row.GetGuid(2),
        Kind = row.GetString(3),
        // Read after the claim.
        Payload = [],
        Tries = row.GetInt32(4),
        Failures = row.GetInt32(5),
        Snoozes = row.GetInt32(6),
        LostLeases = row.GetInt32(7),
        MaxTries = row.GetInt32(8),
        LeaseToken = row.GetGuid(9),
        TraceParent = row.IsDBNull(10) ? null : row.GetString(10),
        ReadyAt = row.GetFieldValue<DateTimeOffset>(11),
        Deadline = row.IsDBNull(12) ? null : row.GetFieldValue<DateTimeOffset>(12),
        MaxCost = row.IsDBNull(13) ? null : row.GetDecimal(13),
        CancelRequested = row.GetBoolean(14),
    };

    private static NpgsqlParameter Column<TRow, T>(IReadOnlyCollection<TRow> rows, Func<TRow, T> value) => Parameter.Of(rows.Select(value).ToArray());

    [LoggerMessage(Level = LogLevel.Warning, Message = "Job {JobId} is no longer ours; its lease ended before its payload was read")]
    private static partial void LogLost(ILogger logger, Guid jobId);
}
