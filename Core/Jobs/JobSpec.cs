namespace AiAspire.Core.Jobs;

/// <summary>A job to be queued.</summary>
/// <param name="Kind">Which <see cref="IJobHandler"/> runs it.</param>
/// <param name="Payload">What the handler gets; at most <see cref="JobOptions.MaxPayloadBytes"/>.</param>
public sealed record JobSpec(string Kind, ReadOnlyMemory<byte> Payload)
{
    public const short MaxPriority = 9;
    public const int MaxUniqueKeyLength = 255;

    /// <summary>0 to <see cref="MaxPriority"/>; lower runs first among the tenant's own.</summary>
    public short Priority { get; init; } = 5;

    /// <summary>Not before this time; null: now.</summary>
    public DateTimeOffset? RunAt { get; init; }

    /// <summary>Null: <see cref="JobOptions.DeadlineHours"/> after its start time.</summary>
    public DateTimeOffset? Deadline { get; init; }

    /// <summary>While a job of the user with this key waits or runs, no other is queued.</summary>
    public string? UniqueKey { get; init; }

    /// <summary>The larger work that it does a part of.</summary>
    public Guid? PartOf { get; init; }

    /// <summary>Null: <see cref="JobOptions.MaxTries"/>.</summary>
    public int? MaxTries { get; init; }

    /// <summary>US dollars that it may be charged; null: no ceiling.</summary>
    public decimal? MaxCost { get; init; }
}

/// <param name="JobId">The job's id.</param>
/// <param name="Existing">True when a job with the same unique key was there; nothing was queued.</param>
public readonly record struct QueuedJob(Guid JobId, bool Existing);

/// <summary>How a job ends.</summary>
/// <param name="State"><see cref="JobState.Succeeded"/>, <see cref="JobState.Failed"/> or <see cref="JobState.Cancelled"/>.</param>
/// <param name="Result">Encrypted for <see cref="ClaimedJob.ResultPlace"/>.</param>
/// <param name="ErrorCode">A stable word.</param>
/// <param name="ErrorMessage">For people; without content of the user's.</param>
/// <param name="Cost">US dollars charged.</param>
public sealed record JobEnd(JobState State, byte[]? Result = null, string? ErrorCode = null, string? ErrorMessage = null, decimal Cost = 0)
{
    public static JobEnd Cancelled { get; } = new(JobState.Cancelled, ErrorCode: "cancelled", ErrorMessage: "The job was cancelled.");
}
