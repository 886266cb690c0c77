using System.ComponentModel.DataAnnotations;

namespace AiAspire.Core.Jobs;

/// <summary>Section <c>Jobs</c>: what holds for whoever queues and whoever runs.</summary>
public sealed class JobOptions
{
    public const string Section = "Jobs";

    /// <summary>Bytes of a job's payload before encryption. Default 1 MiB: what is larger belongs in a file that the payload names.</summary>
    [Range(1024, 1 << 28)]
    public int MaxPayloadBytes { get; init; } = 1024 * 1024;

    /// <summary>Bytes of a job's result before encryption. Default 64 MiB.</summary>
    [Range(1024, 1 << 30)]
    public int MaxResultBytes { get; init; } = 64 * 1024 * 1024;

    /// <summary>Hours after its start time at which a job without a deadline of its own fails instead of running. Default 24.</summary>
    [Range(0.01, 24 * 365)]
    public double DeadlineHours { get; init; } = 24;

    /// <summary>Starts that may fail before a job is a dead letter, when it names no number of its own. Default 5.</summary>
    [Range(1, 100)]
    public int MaxTries { get; init; } = 5;

    /// <summary>Hours for which tokens and progress are kept for listeners that reconnect. Default 24.</summary>
    [Range(0.01, 24 * 30)]
    public double EventHours { get; init; } = 24;

    /// <summary>Milliseconds between two writes of a running job's tokens: what comes meanwhile goes in one row. Default 250.</summary>
    [Range(10, 10_000)]
    public int EventMilliseconds { get; init; } = 250;
}
