using System.Text.Json;
using AiAspire.Core.Data;
using AiAspire.Core.Encryption;
using Microsoft.EntityFrameworkCore;
using Npgsql;

namespace AiAspire.Core.Jobs;

/// <summary>A job as its user sees it, whether it waits, runs or is over.</summary>
public sealed record JobView
{
    public required Guid JobId { get; init; }

    public required string Kind { get; init; }

    public required JobState State { get; init; }

    public short Priority { get; init; }

    public int Tries { get; init; }

    public double? Progress { get; init; }

    public decimal Cost { get; init; }

    public decimal? MaxCost { get; init; }

    public bool CancelRequested { get; init; }

    /// <summary>When it may start; null once it is over.</summary>
    public DateTimeOffset? RunAt { get; init; }

    public DateTimeOffset? Deadline { get; init; }

    /// <summary>Encrypted; null also where it was not asked for.</summary>
    public byte[]? Result { get; init; }

    public string? ErrorCode { get; init; }

    public string? ErrorMessage { get; init; }

    public required DateTimeOffset CreatedAt { get; init; }

    public DateTimeOffset? StartedAt { get; init; }

    public DateTimeOffset? FinishedAt { get; init; }

    public bool IsOver => State is JobState.Succeeded or JobState.Failed or JobState.Cancelled;
}

/// <summary>One row of events, decrypted.</summary>
/// <param name="Sequence">Its place.</param>
/// <param name="Data">UTF-8 JSON: <c>{"try":1,"chunks":[…]}</c>.</param>
public readonly record struct JobEventData(long Sequence, byte[] Data);

/// <summary>Reads a user's jobs in the user's own session.</summary>
public sealed class JobReader(TenantSession session, UserKeys userKeys)
{
    private const int MaxEvents = 200;

    /// <summary>Null: the user has no such job.</summary>
    public Task<JobView?> FindAsync(Guid jobId, CancellationToken cancellationToken) => FindAsync(jobId, withResult: true, cancellationToken);

    /// <summary>The same without the result, which may have many megabytes.</summary>
    public Task<JobView?> FindStateAsync(Guid jobId, CancellationToken cancellationToken) => FindAsync(jobId, withResult: false, cancellationToken);

    private Task<JobView?> FindAsync(Guid jobId, bool withResult, CancellationToken cancellationToken)
    {
        var userId = session.Scope.UserId;
        return session.RunAsync(
            async (db, token) =>
                await Waiting(db.Jobs.Where(j => j.UserId == userId && j.JobId == jobId && j.PartOf == null)).SingleOrDefaultAsync(token)
                // In this order, for a job goes from the one to the other and never is in neither.
                ?? await Finished(db.FinishedJobs.Where(j => j.UserId == userId && j.JobId == jobId && j.PartOf == null), withResult).SingleOrDefaultAsync(token)
                // …but for a redriven one, which goes back.
                ?? await Waiting(db.Jobs.Where(j => j.UserId == userId && j.JobId == jobId && j.PartOf == null)).SingleOrDefaultAsync(token),
            cancellationToken);
    }

    /// <summary>Newest first, without their results.</summary>
    /// <param name="state">Only these; <see cref="JobState.Queued"/> covers scheduled ones.</param>
    /// <param name="after">The last id of the page before.</param>
    /// <param name="take">Most rows.</param>
    /// <param name="cancellationToken">Cancels.</param>
    public Task<List<JobView>> ListAsync(JobState? state, Guid? after, int take, CancellationToken cancellationToken)
    {
        var userId = session.Scope.UserId;
        return session.RunAsync(
            async (db, token) =>
            {
                // Ids are UUIDv7: their order is the order of creation.
                var waiting = await Waiting(db.Jobs
                        .Where(j => j.UserId == userId && j.PartOf == null && (after == null || j.JobId < after)
                            && (state == null || j.State == state || (state == JobState.Queued && j.State == JobState.Scheduled)))
                        .OrderByDescending(j => j.JobId)
                        .Take(take))
                    .ToListAsync(token);
                var finished = await Finished(db.FinishedJobs
                        .Where(j => j.UserId == userId && j.PartOf == null && (after == null || j.JobId < after) && (state == null || j.State == state))
                        .OrderByDescending(j => j.JobId)
                        .Take(take), withResult: false)
                    .ToListAsync(token);
                return waiting.Concat(finished).DistinctBy(j => j.JobId).OrderByDescending(j => j.JobId).Take(take).ToList();
            },
            cancellationToken);
    }

    /// <summary>The events after a place, oldest first, a bounded number at a time.</summary>
    public async Task<IReadOnlyList<JobEventData>> ReadEventsAsync(Guid jobId, long after, CancellationToken cancellationToken)
    {
        var rows = new List<(long Sequence, byte[] Data)>();
        var query = new NpgsqlBatchCommand(
            "SELECT sequence, data FROM aiaspire.job_events WHERE tenant_id = $1 AND user_id = $2 AND job_id = $3 AND sequence > $4 ORDER BY sequence LIMIT $5")
        {
            Parameters =
            {
                Parameter.Of(session.Scope.TenantId), Parameter.Of(session.Scope.UserId!.Value), Parameter.Of(jobId), Parameter.Of(after), Parameter.Of(MaxEvents),
            },
        };
        await session.QueryAsync(query, row => rows.Add((row.GetInt64(0), row.GetFieldValue<byte[]>(1))), cancellationToken);
        if (rows.Count == 0)
            return [];
        var cipher = await userKeys.GetAsync(session.Scope.TenantId, session.Scope.UserId!.Value, cancellationToken);
        return [.. rows.Select(r => new JobEventData(r.Sequence, cipher.Decrypt(r.Data, ClaimedJob.EventPlace(jobId, r.Sequence))))];
    }

    /// <summary>The result in the clear; null without one.</summary>
    public async Task<JsonElement?> ReadResultAsync(JobView job, CancellationToken cancellationToken)
    {
        if (job.Result is not { } encrypted)
            return null;
        var cipher = await userKeys.GetAsync(session.Scope.TenantId, session.Scope.UserId!.Value, cancellationToken);
        return JsonElement.Parse(cipher.Decrypt(encrypted, ClaimedJob.ResultPlace(job.JobId)));
    }

    private static IQueryable<JobView> Waiting(IQueryable<Job> jobs) => jobs.AsNoTracking().Select(j => new JobView
    {
        JobId = j.JobId,
        Kind = j.Kind,
        State = j.State,
        Priority = j.Priority,
        Tries = j.Tries,
        Progress = j.Progress,
        MaxCost = j.MaxCost,
        CancelRequested = j.CancelRequested,
        RunAt = j.AvailableAt,
        Deadline = j.Deadline,
        ErrorCode = j.ErrorCode,
        CreatedAt = j.CreatedAt,
        StartedAt = j.StartedAt,
    });

    private static IQueryable<JobView> Finished(IQueryable<FinishedJob> jobs, bool withResult) => jobs.AsNoTracking().Select(j => new JobView
    {
        JobId = j.JobId,
        Kind = j.Kind,
        State = j.State,
        Priority = j.Priority,
        Tries = j.Tries,
        Cost = j.Cost,
        MaxCost = j.MaxCost,
        // As a constant: of a parameter the column would be named, and read, either way.
        Result = EF.Constant(withResult) ? j.Result : null,
        ErrorCode = j.ErrorCode,
        ErrorMessage = j.ErrorMessage,
        CreatedAt = j.CreatedAt,
        StartedAt = j.StartedAt,
        FinishedAt = j.FinishedAt,
    });
}
