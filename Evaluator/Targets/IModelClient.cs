using System.Text.Json.Nodes;

namespace AiAspire.Evaluator.Targets;

/// <summary>A target that speaks the OpenAI wire.</summary>
public interface IModelClient
{
    /// <summary>Asks once, retrying what is worth retrying.</summary>
    /// <param name="model">The candidate.</param>
    /// <param name="request">The body but for the model; not changed.</param>
    /// <param name="cancellationToken">Stops waiting and retrying.</param>
    /// <exception cref="ModelCallException">No answer came, after the retries.</exception>
    /// <exception cref="TargetException">The target refuses us altogether; asking on is pointless.</exception>
    Task<ChatReply> ChatAsync(string model, JsonObject request, CancellationToken cancellationToken);

    /// <inheritdoc cref="ChatAsync" path="/exception"/>
    Task<EmbeddingReply> EmbedAsync(string model, IReadOnlyList<string> texts, CancellationToken cancellationToken);

    /// <summary>Finds out whether somebody is there who accepts our key.</summary>
    /// <exception cref="TargetException">Nobody is, or does not.</exception>
    Task CheckAsync(CancellationToken cancellationToken);
}

/// <summary>What a model said, and what it took.</summary>
public sealed record ChatReply
{
    public string Content { get; init; } = string.Empty;

    public IReadOnlyList<ToolCall> ToolCalls { get; init; } = [];

    public string? Refusal { get; init; }

    public string? FinishReason { get; init; }

    /// <summary>The model that answered, as the target names it; may be a dated version of what was asked.</summary>
    public string? Model { get; init; }

    public string? ResponseId { get; init; }

    public string? RequestId { get; init; }

    public int? InputTokens { get; init; }

    public int? OutputTokens { get; init; }

    /// <summary>US dollars, from <c>x-aiaspire-cost-usd</c>; null when the target does not say, which is not nothing.</summary>
    public decimal? CostUsd { get; init; }

    /// <summary>Of the attempt that was answered, in milliseconds.</summary>
    public double LatencyMs { get; init; }

    /// <summary>Attempts before it.</summary>
    public int Retries { get; init; }
}

/// <param name="Name">Of the function.</param>
/// <param name="Arguments">JSON as the model wrote it; may be malformed.</param>
public sealed record ToolCall(string Name, string Arguments);

/// <param name="Vectors">In the order of the texts.</param>
/// <param name="CostUsd">US dollars; null when the target does not say.</param>
public sealed record EmbeddingReply(IReadOnlyList<float[]> Vectors, decimal? CostUsd);

/// <summary>One call got no answer to judge. An error of the run, never a failure of the case.</summary>
public sealed class ModelCallException(string message, Exception? inner = null) : Exception(message, inner);

/// <summary>The run cannot go on: no target, or one that refuses us. The message is one sentence with the remedy.</summary>
public sealed class TargetException(string message, Exception? inner = null) : Exception(message, inner);
