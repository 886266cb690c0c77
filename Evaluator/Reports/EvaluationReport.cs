using AiAspire.Evaluator.Gate;
using AiAspire.Evaluator.Scoring;
using AiAspire.Evaluator.Statistics;
using AiAspire.Evaluator.Targets;

namespace AiAspire.Evaluator.Reports;

/// <summary>Everything about one run, enough to print it again and to compare it with another.</summary>
public sealed record EvaluationReport
{
    /// <summary>Of this record's shape.</summary>
    public int SchemaVersion { get; init; } = 1;

    public required string Suite { get; init; }

    public string? Feature { get; init; }

    public required string Candidate { get; init; }

    public string? Baseline { get; init; }

    public required int Repeats { get; init; }

    public required DateTimeOffset StartedAt { get; init; }

    public required double DurationSeconds { get; init; }

    public required ReportVersions Versions { get; init; }

    public required GateSettings Gate { get; init; }

    public required VariantSummary CandidateSummary { get; init; }

    public VariantSummary? BaselineSummary { get; init; }

    public ComparisonSummary? Comparison { get; init; }

    public required GateDecision Decision { get; init; }

    public required IReadOnlyList<CaseReport> Cases { get; init; }
}

/// <summary>What must be equal for two reports to be about the same thing.</summary>
public sealed record ReportVersions
{
    public required string Evaluator { get; init; }

    public required string SuiteHash { get; init; }

    public required string PromptsHash { get; init; }

    public required string Target { get; init; }

    /// <summary>Null when no judge took part.</summary>
    public string? JudgePrompt { get; init; }

    public string? JudgeModel { get; init; }

    public string? EmbeddingModel { get; init; }

    /// <summary>The models that answered, as the target named them.</summary>
    public IReadOnlyList<string> AnsweredBy { get; init; } = [];
}

/// <summary>One variant over all cases.</summary>
public sealed record VariantSummary
{
    public required string Model { get; init; }

    /// <summary>Cases with a verdict; cases whose every repeat ended in an error have none.</summary>
    public required int Judged { get; init; }

    public required int Passed { get; init; }

    /// <summary>Passed among judged, 0 when nothing was judged.</summary>
    public double PassRate => Judged == 0 ? 0 : (double)Passed / Judged;

    /// <summary>Two-sided 95 %, Wilson.</summary>
    public required Interval PassRateInterval { get; init; }

    public required double MeanScore { get; init; }

    public required int Calls { get; init; }

    public required int Errors { get; init; }

    public double ErrorRate => Calls == 0 ? 0 : (double)Errors / Calls;

    /// <summary>US dollars of all answers; null when any is unknown.</summary>
    public required decimal? CostUsd { get; init; }

    /// <summary>US dollars of judges and embeddings; null when any is unknown.</summary>
    public required decimal? JudgingCostUsd { get; init; }

    public required double? P50LatencyMs { get; init; }

    public required double? P95LatencyMs { get; init; }
}

/// <summary>Candidate against baseline on the cases judged for both.</summary>
public sealed record ComparisonSummary
{
    public required int Cases { get; init; }

    /// <summary>Ids the baseline passed and the candidate failed.</summary>
    public required IReadOnlyList<string> Regressions { get; init; }

    /// <summary>Ids the baseline failed and the candidate passed.</summary>
    public required IReadOnlyList<string> Fixes { get; init; }

    /// <summary>Exact McNemar, that the candidate is no worse.</summary>
    public required double PWorse { get; init; }

    /// <summary>Exact McNemar, that there is no difference.</summary>
    public required double PDifferent { get; init; }

    public required double MeanScoreDifference { get; init; }

    /// <summary>One-sided 95 % bounds of the mean score difference.</summary>
    public required Interval DifferenceBounds { get; init; }

    /// <summary><c>bootstrap</c>, or <c>exact</c> when no case changed its verdict.</summary>
    public required string BoundMethod { get; init; }
}

/// <summary>One case, both variants.</summary>
public sealed record CaseReport
{
    public required string Id { get; init; }

    public required IReadOnlyList<string> Tags { get; init; }

    public required bool Critical { get; init; }

    public required CaseOutcome Candidate { get; init; }

    public CaseOutcome? Baseline { get; init; }
}

/// <summary>How the majority of the judged repeats went.</summary>
public enum CaseVerdict
{
    Fail,
    Pass,

    /// <summary>No repeat could be judged.</summary>
    Error,
}

/// <summary>One case, one variant, all repeats.</summary>
public sealed record CaseOutcome
{
    public required CaseVerdict Verdict { get; init; }

    /// <summary>Mean over the judged repeats, 0..1; null without any.</summary>
    public required double? Score { get; init; }

    public required int Passes { get; init; }

    public required int Failures { get; init; }

    public required int Errors { get; init; }

    /// <summary>Repeats disagree: a verdict to be read with care.</summary>
    public bool Flaky => Passes > 0 && Failures > 0;

    /// <summary>Mean per answer in US dollars; null when any is unknown.</summary>
    public required decimal? CostUsd { get; init; }

    /// <summary>Mean per answer, in milliseconds.</summary>
    public required double? LatencyMs { get; init; }

    public required IReadOnlyList<RepeatReport> Repeats { get; init; }
}

/// <summary>One call and its scores, or the error in their place.</summary>
public sealed record RepeatReport
{
    /// <summary>From 1.</summary>
    public required int Repeat { get; init; }

    public bool? Pass { get; init; }

    public double? Score { get; init; }

    public string? Error { get; init; }

    public ChatReply? Reply { get; init; }

    public IReadOnlyList<ScorerResult> Scorers { get; init; } = [];
}
