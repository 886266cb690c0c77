using System.ComponentModel.DataAnnotations;

namespace AiAspire.Workers.Jobs;

/// <summary>Section <c>Workers</c>.</summary>
public sealed class JobRunnerOptions
{
    public const string Section = "Workers";

    /// <summary>Jobs this process runs at once, a single tenant's at most seven in eight of them. Default 16; fewer while providers are overloaded.</summary>
    [Range(1, 1000)]
    public int Concurrency { get; init; } = 16;

    /// <summary>Jobs of one tenant that run at once, over all workers. Default 64.</summary>
    [Range(1, 100_000)]
    public int TenantConcurrency { get; init; } = 64;

    /// <summary>Seconds after which the job of a worker that died is free again. Default 20.</summary>
    [Range(1, 600)]
    public double LeaseSeconds { get; init; } = 20;

    /// <summary>Seconds between looks at the queue when no notification comes. Default 1.</summary>
    [Range(0.05, 60)]
    public double PollSeconds { get; init; } = 1;

    /// <summary>Seconds that running jobs get to finish when the process is asked to stop; then they are released. Default 10.</summary>
    [Range(0, 600)]
    public double DrainSeconds { get; init; } = 10;

    /// <summary>Workers that may die with a job before it is taken for what kills them. Default 10.</summary>
    [Range(1, 1000)]
    public int MaxLostLeases { get; init; } = 10;

    /// <summary>Seconds between two samples of the queue's depth and age for the metrics. Default 10.</summary>
    [Range(0.1, 3600)]
    public double StatusSeconds { get; init; } = 10;
}
