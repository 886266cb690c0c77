using AiAspire.Core.Data;
using Microsoft.EntityFrameworkCore;

namespace AiAspire.Core.Jobs;

/// <summary>A job that was given up, without anything its user wrote.</summary>
public sealed record DeadLetter
{
    public required Guid JobId { get; init; }

    public required Guid UserId { get; init; }

    public required string Kind { get; init; }

    public required int Tries { get; init; }

    public string? ErrorCode { get; init; }

    public string? ErrorMessage { get; init; }

    public required DateTimeOffset CreatedAt { get; init; }

    public required DateTimeOffset FinishedAt { get; init; }
}

/// <summary>A tenant's part of the queue.</summary>
public sealed record TenantQueue
{
    public required long Queued { get; init; }

    public required long Scheduled { get; init; }

    public required long Running { get; init; }

    public required long DeadLetters { get; init; }

    /// <summary>How long the oldest ready job has waited; 0 with none.</summary>
    public required double OldestReadySeconds { get; init; }
}

/// <summary>
/// What a tenant's administrators see of all users' jobs, and the way back into the queue. The functions behind it look at the session's
/// tenant alone, ask for the administrator's reach, and never return content.
/// </summary>
public static class DeadLetters
{
    /// <summary>Newest first.</summary>
    public static Task<List<DeadLetter>> ListAsync(AiAspireDb db, Guid? after, int take, CancellationToken cancellationToken)
        => db.Database.SqlQuery<DeadLetter>(
            $"""
            SELECT job_id AS "JobId", user_id AS "UserId", kind AS "Kind", tries AS "Tries", error_code AS "ErrorCode", error_message AS "ErrorMessage",
                created_at AS "CreatedAt", finished_at AS "FinishedAt"
            FROM aiaspire.list_dead_letters({after}::uuid, {take})
            """).ToListAsync(cancellationToken);

    public static async Task<TenantQueue> ReadQueueAsync(AiAspireDb db, CancellationToken cancellationToken)
        => (await db.Database.SqlQuery<TenantQueue>(
            $"""
            SELECT queued AS "Queued", scheduled AS "Scheduled", running AS "Running", dead_letters AS "DeadLetters", oldest_ready_seconds AS "OldestReadySeconds"
            FROM aiaspire.tenant_queue()
            """).ToListAsync(cancellationToken)).Single();

    /// <summary>
    /// Queues dead letters anew, with all their tries before them. Call <see cref="JobNotifier.JobsWait"/> when the transaction is committed.
    /// </summary>
    /// <param name="db">An administrator's session.</param>
    /// <param name="jobId">One job; null: the oldest first.</param>
    /// <param name="most">Most jobs.</param>
    /// <param name="deadline">Until when they must have run, from now.</param>
    /// <param name="cancellationToken">Cancels.</param>
    /// <returns>How many.</returns>
    public static async Task<int> RedriveAsync(AiAspireDb db, Guid? jobId, int most, TimeSpan deadline, CancellationToken cancellationToken)
        => (await db.Database.SqlQuery<int>($"""SELECT aiaspire.redrive_dead_letters({jobId}::uuid, {most}, {deadline}) AS "Value" """).ToListAsync(cancellationToken)).Single();
}
