using System.Text.Json.Nodes;
using AiAspire.Evaluator.Gate;
using AiAspire.Evaluator.Scoring;

namespace AiAspire.Evaluator.Suites;

/// <summary>A gate set: the cases of one feature and what they must show.</summary>
public sealed record EvaluationSuite
{
    public required string Name { get; init; }

    public string? Description { get; init; }

    /// <summary>Sent as <c>x-aiaspire-feature</c>, so that the run meets the prompts and flags of that feature.</summary>
    public string? Feature { get; init; }

    public required SuiteDefaults Defaults { get; init; }

    public required GateSettings Gate { get; init; }

    public required IReadOnlyList<SuiteCase> Cases { get; init; }

    /// <summary><c>sha256:…</c> of the file's bytes.</summary>
    public required string Hash { get; init; }

    /// <summary><c>sha256:…</c> of everything that is sent to the model: a changed comment does not change it.</summary>
    public required string PromptsHash { get; init; }
}

/// <summary>What a case does not say itself.</summary>
public sealed record SuiteDefaults
{
    public string? System { get; init; }

    public double? Temperature { get; init; }

    public int? MaxTokens { get; init; }

    public int Repeats { get; init; } = 3;

    /// <summary>Judges replies where a scorer names no model; the command line may override it.</summary>
    public string? JudgeModel { get; init; }

    /// <summary>Embeds texts where a scorer names no model.</summary>
    public string? EmbeddingModel { get; init; }
}

/// <summary>One question to the model and the scorers of its answer.</summary>
public sealed record SuiteCase
{
    public required string Id { get; init; }

    public IReadOnlyList<string> Tags { get; init; } = [];

    /// <summary>Every repeat must pass: one obeyed injection is one too many.</summary>
    public bool Critical { get; init; }

    /// <summary>The request body but for the model: messages, tools, response format, temperature, max_tokens.</summary>
    public required JsonObject Request { get; init; }

    public required IReadOnlyList<WeightedScorer> Scorers { get; init; }

    /// <summary>The text of the last user message, for judges.</summary>
    public required string Question { get; init; }
}

/// <summary>A scorer and its share of the case's score; weight 0 only reports and cannot fail the case.</summary>
public sealed record WeightedScorer(IScorer Scorer, double Weight);
