using System.Collections.Frozen;

namespace AiAspire.Simulator.Models;

internal enum Company
{
    OpenAi,
    Anthropic,
}

internal enum ModelKind
{
    Chat,
    Embedding,
    Moderation,
}

/// <param name="Id">Starts with <c>sim-</c>: a stand-in never passes for a real model.</param>
/// <param name="Reasons">Spends hidden reasoning tokens before its answer.</param>
/// <param name="ContextTokens">Longest prompt the model takes.</param>
internal sealed record SimulatedModel(string Id, ModelKind Kind, string DisplayName, int ContextTokens, bool Reasons = false);

/// <summary>The models of one company.</summary>
internal sealed class Catalog(Company company)
{
    /// <summary>2025-01-01, in seconds since 1970: the wire wants a creation time.</summary>
    public const long CreatedUnixSeconds = 1_735_689_600;

    private readonly FrozenDictionary<string, SimulatedModel> _byId = Models(company).ToFrozenDictionary(m => m.Id, StringComparer.Ordinal);

    public Company Company { get; } = company;

    public IReadOnlyList<SimulatedModel> All { get; } = Models(company);

    public SimulatedModel? Find(string id) => _byId.GetValueOrDefault(id);

    private static SimulatedModel[] Models(Company company) => company switch
    {
        Company.OpenAi =>
        [
            new("sim-small", ModelKind.Chat, "Simulated Small", 200_000),
            new("sim-large", ModelKind.Chat, "Simulated Large", 200_000),
            new("sim-reasoning", ModelKind.Chat, "Simulated Reasoning", 200_000, Reasons: true),
            new("sim-embedding", ModelKind.Embedding, "Simulated Embedding", 8_192),
            new("sim-moderation", ModelKind.Moderation, "Simulated Moderation", 32_768),
        ],
        _ =>
        [
            new("sim-anthropic-small", ModelKind.Chat, "Simulated Anthropic Small", 200_000),
            new("sim-anthropic-large", ModelKind.Chat, "Simulated Anthropic Large", 200_000),
        ],
    };
}
