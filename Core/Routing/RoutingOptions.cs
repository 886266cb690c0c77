using System.ComponentModel.DataAnnotations;

namespace AiAspire.Core.Routing;

/// <summary>What to do about an alias whose targets all belong to one company.</summary>
public enum SameCompanyRoutes
{
    /// <summary>Start, and log a warning per alias.</summary>
    Warn,

    /// <summary>Do not start.</summary>
    Refuse,

    Allow,
}

/// <summary>Section <c>Routing</c>: how hard a request tries, and when a target is left alone.</summary>
public sealed class RoutingOptions : IValidatableObject
{
    public const string Section = "Routing";

    /// <summary>
    /// How often one request may come back to targets that failed it, once no other target is left to fall back to. Default 2; 0: never.
    /// </summary>
    [Range(0, 10)]
    public int MaxRetries { get; init; } = 2;

    /// <summary>
    /// Retries over all requests of the process, as a share of them: in an outage the load upstream grows by this share and no more.
    /// Default 0.2.
    /// </summary>
    [Range(0.0, 10.0)]
    public double RetryRatio { get; init; } = 0.2;

    /// <summary>Retries that may be saved up, and are there at the start. Default 10.</summary>
    [Range(1, 10_000)]
    public int RetryReserve { get; init; } = 10;

    /// <summary>Seconds; the n-th wait before a retry is drawn from 0 to this times 2ⁿ (full jitter), and never below Retry-After. Default 0.5.</summary>
    [Range(0.001, 60.0)]
    public double BackoffSeconds { get; init; } = 0.5;

    /// <summary>The most that backoff alone waits. Default 20 s.</summary>
    [Range(0.001, 600.0)]
    public double MaxBackoffSeconds { get; init; } = 20;

    /// <summary>Seconds from the start of a request within which an attempt, a wait or a first token may begin. Default 180.</summary>
    [Range(1.0, 3600.0)]
    public double DeadlineSeconds { get; init; } = 180;

    /// <summary>Share of failures within <see cref="BreakerWindowSeconds"/> that opens a target's breaker. Default 0.5.</summary>
    [Range(0.01, 1.0)]
    public double BreakerFailureRatio { get; init; } = 0.5;

    /// <summary>Calls within the window below which the breaker stays closed; low, so that it also opens at small traffic. Default 4.</summary>
    [Range(2, 10_000)]
    public int BreakerMinimumCalls { get; init; } = 4;

    /// <summary>Default 30.</summary>
    [Range(1.0, 3600.0)]
    public double BreakerWindowSeconds { get; init; } = 30;

    /// <summary>How long an open breaker stays so before one call may probe the target; doubles with each failed probe. Default 5.</summary>
    [Range(0.5, 3600.0)]
    public double BreakSeconds { get; init; } = 5;

    /// <summary>Default 60.</summary>
    [Range(0.5, 3600.0)]
    public double MaxBreakSeconds { get; init; } = 60;

    /// <summary>Seconds without a target after a 429 that names no time. Default 1.</summary>
    [Range(0.001, 600.0)]
    public double DefaultCooldownSeconds { get; init; } = 1;

    /// <summary>Seconds a key stays out of use after the provider refused it (401), unless it is replaced before. Default 60.</summary>
    [Range(1.0, 86_400.0)]
    public double RefusedKeySeconds { get; init; } = 60;

    /// <summary>Requests that may wait for one target's rate limit or cooldown; more are refused with 429. Default 1,000.</summary>
    [Range(0, 100_000)]
    public int QueueLength { get; init; } = 1000;

    /// <summary>How long a request may wait there. Default 30 s.</summary>
    [Range(0.0, 3600.0)]
    public double QueueSeconds { get; init; } = 30;

    /// <summary>The share of a provider's rate limits that we use: clocks and networks are not exact. Default 0.95.</summary>
    [Range(0.1, 1.0)]
    public double LimitShare { get; init; } = 0.95;

    /// <summary>Seconds' worth of a rate limit that may be spent at once after a pause. Default 10.</summary>
    [Range(1.0, 60.0)]
    public double LimitBurstSeconds { get; init; } = 10;

    /// <summary>Processes that share a provider's limits; each takes its part alone while Redis is away. Default 3 (one API, two workers).</summary>
    [Range(1, 10_000)]
    public int Replicas { get; init; } = 3;

    /// <summary>Take limits that providers name in <c>x-ratelimit-limit-*</c> where they are below the configured ones. Default false.</summary>
    public bool LearnLimits { get; init; }

    /// <summary>Days after which a provider key is reported as due for rotation. Default 30.</summary>
    [Range(1, 3650)]
    public int KeyMaxAgeDays { get; init; } = 30;

    /// <summary>Default <see cref="SameCompanyRoutes.Warn"/>.</summary>
    public SameCompanyRoutes SameCompanyRoutes { get; init; }

    public IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
    {
        if (MaxBackoffSeconds < BackoffSeconds)
            yield return new ValidationResult($"{Section}:{nameof(MaxBackoffSeconds)} must not be below {nameof(BackoffSeconds)}.");
        if (MaxBreakSeconds < BreakSeconds)
            yield return new ValidationResult($"{Section}:{nameof(MaxBreakSeconds)} must not be below {nameof(BreakSeconds)}.");
    }
}
