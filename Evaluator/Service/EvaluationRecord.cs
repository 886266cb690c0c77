using AiAspire.Evaluator.Reports;

namespace AiAspire.Evaluator.Service;

/// <summary>How far an evaluation is.</summary>
internal enum EvaluationState
{
    Queued,
    Running,
    Completed,

    /// <summary>No report could be made; <see cref="EvaluationRecord.Error"/> says why.</summary>
    Failed,

    /// <summary>The service stopped before it ended. Ask again.</summary>
    Cancelled,
}

/// <summary>One evaluation, as kept on disk and as answered.</summary>
internal sealed record EvaluationRecord
{
    public required string Id { get; init; }

    public required EvaluationState State { get; init; }

    public required string Suite { get; init; }

    public required string Model { get; init; }

    public string? Baseline { get; init; }

    public int? Repeats { get; init; }

    public required DateTimeOffset CreatedAt { get; init; }

    public DateTimeOffset? FinishedAt { get; init; }

    public string? Error { get; init; }

    public EvaluationReport? Report { get; init; }
}

/// <summary>Body of <c>POST /v1/evaluations</c>; the suite by its file name in the suites folder, without <c>.yaml</c>.</summary>
internal sealed record EvaluationRequest(string? Suite, string? Model, string? Baseline, int? Repeats);
