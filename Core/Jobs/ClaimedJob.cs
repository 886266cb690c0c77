using AiAspire.Core.Data;
using AiAspire.Core.Encryption;

namespace AiAspire.Core.Jobs;

/// <summary>A job in the hands of this worker, until its lease ends.</summary>
public sealed record ClaimedJob
{
    public required Guid TenantId { get; init; }

    public required Guid UserId { get; init; }

    public required Guid JobId { get; init; }

    public required string Kind { get; init; }

    public required byte[] Payload { get; init; }

    /// <summary>Starts so far, this one included.</summary>
    public int Tries { get; init; }

    public int Failures { get; init; }

    public int Snoozes { get; init; }

    public int LostLeases { get; init; }

    public int MaxTries { get; init; }

    public required Guid LeaseToken { get; init; }

    public string? TraceParent { get; init; }

    /// <summary>Since when a worker could have taken it.</summary>
    public DateTimeOffset ReadyAt { get; init; }

    public DateTimeOffset? Deadline { get; init; }

    public decimal? MaxCost { get; init; }

    public bool CancelRequested { get; init; }

    public TenantScope Scope => new(TenantId, UserId);

    public static ContentPlace PayloadPlace(Guid jobId) => new("jobs", "payload", jobId);

    public static ContentPlace ResultPlace(Guid jobId) => new("jobs", "result", jobId);

    /// <summary>The sequence is part of the place, so that two events of a job cannot be exchanged.</summary>
    public static ContentPlace EventPlace(Guid jobId, long sequence) => new("job_events", $"data.{sequence}", jobId);
}

/// <summary>The lease ended and the job is someone else's, or cancelled: nothing of this worker's may count.</summary>
public sealed class LeaseLostException(Guid jobId, Exception? inner = null) : Exception($"The lease of job {jobId} is lost.", inner);
