using System.Text.Json;
using AiAspire.Simulator.Tokens;

namespace AiAspire.Simulator.Generation;

/// <summary>A function the caller offers.</summary>
/// <param name="Parameters">JSON schema of its arguments; undefined when it takes none.</param>
internal sealed record OfferedTool(string Name, JsonElement Parameters);

internal enum ToolDemand
{
    None,
    Auto,
    Required,
}

internal enum AnswerFormat
{
    Text,
    JsonObject,
    JsonSchema,
}

/// <summary>A chat request of either company, as far as a reply depends on it.</summary>
internal sealed class ChatPrompt
{
    /// <summary>Everything that counts as prompt, in order.</summary>
    public List<PromptSegment> Segments { get; } = [];

    /// <summary>Text of the last message of the user.</summary>
    public string LastUserText { get; set; } = "";

    public string SystemText { get; set; } = "";

    /// <summary>Set when the conversation ends with results of tools: their texts.</summary>
    public string? ToolResult { get; set; }

    public List<OfferedTool> Tools { get; } = [];

    public ToolDemand Demand { get; set; } = ToolDemand.Auto;

    /// <summary>The only tool that may be called.</summary>
    public string? ForcedTool { get; set; }

    public bool ParallelToolCalls { get; set; } = true;

    public AnswerFormat Format { get; set; }

    public JsonElement Schema { get; set; }

    public int Choices { get; set; } = 1;

    public int? MaxTokens { get; set; }

    public IReadOnlyList<string> Stop { get; set; } = [];

    public bool IncludeUsage { get; set; }

    public bool LogProbs { get; set; }

    public int TopLogProbs { get; set; }

    /// <summary>Hidden tokens the model would like to spend before its answer.</summary>
    public int ReasoningTokens { get; set; }

    /// <summary>The same for the same conversation, whatever the process.</summary>
    public ulong Fingerprint()
    {
        ulong hash = 0;
        foreach (var segment in Segments) hash = StableHash.Combine(StableHash.Combine(hash, segment.Salt), StableHash.Of(segment.Text));
        return hash;
    }
}
