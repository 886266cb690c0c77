namespace AiAspire.Evaluator.Gate;

/// <summary>What a suite asks of a candidate. Rates and the margin are fractions of 1.</summary>
public sealed record GateSettings
{
    /// <summary>The share of cases that must be exceeded, as point estimate.</summary>
    public double PassRate { get; init; } = 0.8;

    /// <summary>How much worse than the baseline still counts as no worse; declared before the run. Default 10 points.</summary>
    public double Margin { get; init; } = 0.10;

    /// <summary>The share of calls that may end without an answer to judge.</summary>
    public double MaxErrorRate { get; init; } = 0.05;

    /// <summary>The mean cost, in US dollars, that no case may exceed.</summary>
    public decimal? MaxCostUsd { get; init; }

    /// <summary>The 95th percentile of latency, in milliseconds, that the candidate may not exceed.</summary>
    public double? P95LatencyMs { get; init; }
}
