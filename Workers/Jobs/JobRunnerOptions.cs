using System.ComponentModel.DataAnnotations;

namespace AiAspire.Workers.Jobs;

/// <summary>Section <c>Workers</c>.</summary>
public sealed class JobRunnerOptions
{
    public const string Section = "Workers";

    /// <summary>Jobs this process runs at once. Default 16.</summary>
    [Range(1, 1000)]
    public int Concurrency { get; init; } = 16;

    /// <summary>Seconds after which the job of a worker that died is free again. Default 20.</summary>
    [Range(1, 600)]
    public double LeaseSeconds { get; init; } = 20;

    /// <summary>Seconds between looks at the queue when no notification comes. Default 1.</summary>
    [Range(0.05, 60)]
    public double PollSeconds { get; init; } = 1;

    /// <summary>Seconds that running jobs get to finish when the process is asked to stop; then they are released. Default 10.</summary>
    [Range(0, 600)]
    public double DrainSeconds { get; init; } = 10;
}
