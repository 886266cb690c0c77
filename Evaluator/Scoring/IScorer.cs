using AiAspire.Evaluator.Suites;
using AiAspire.Evaluator.Targets;

namespace AiAspire.Evaluator.Scoring;

/// <summary>Judges one reply by one criterion. Stateless: one instance serves every repeat at once.</summary>
public interface IScorer
{
    /// <summary>The word of the suite file, e.g. <c>icontains</c>.</summary>
    string Type { get; }

    /// <exception cref="ModelCallException">
    /// The scorer needs a model (a judge, an embedding) and got no usable answer: the repeat is an error, not a failure.
    /// </exception>
    ValueTask<ScorerResult> ScoreAsync(ScoringContext context, CancellationToken cancellationToken);
}

/// <summary>What a scorer may look at.</summary>
/// <param name="Case">The case that was asked.</param>
/// <param name="Reply">What came back.</param>
/// <param name="Models">The same target, for scorers that need a model themselves.</param>
/// <param name="JudgeModel">Where the scorer names none; null when nobody does.</param>
/// <param name="EmbeddingModel">Where the scorer names none; null when nobody does.</param>
public sealed record ScoringContext(SuiteCase Case, ChatReply Reply, IModelClient Models, string? JudgeModel, string? EmbeddingModel);

/// <summary>One scorer's verdict.</summary>
public sealed record ScorerResult
{
    public required string Scorer { get; init; }

    /// <summary>0 (worst) to 1.</summary>
    public required double Score { get; init; }

    public required bool Pass { get; init; }

    /// <summary>Why, in one sentence for a reader of the report.</summary>
    public required string Reason { get; init; }

    /// <summary>The scorer's own weight in the case.</summary>
    public double Weight { get; init; } = 1;

    /// <summary>US dollars spent on judging; null when unknown or when nothing was called.</summary>
    public decimal? CostUsd { get; init; }

    /// <summary>The version of the judge's prompt, where one judged.</summary>
    public string? JudgeVersion { get; init; }

    public static ScorerResult Of(string scorer, bool pass, string reason) => Of(scorer, pass, pass ? 1 : 0, reason);

    public static ScorerResult Of(string scorer, bool pass, double score, string reason) =>
        new() { Scorer = scorer, Pass = pass, Score = Math.Clamp(score, 0, 1), Reason = reason };
}

/// <summary>How the suite file's entry becomes a scorer.</summary>
/// <param name="Type">The word of the suite file.</param>
/// <param name="Create">Reads its own keys from the entry; the catalog refuses the others.</param>
public sealed record ScorerRegistration(string Type, Func<YamlMap, IScorer> Create);
