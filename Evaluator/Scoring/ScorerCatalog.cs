using System.Collections.Frozen;
using AiAspire.Evaluator.Suites;

namespace AiAspire.Evaluator.Scoring;

/// <summary>The scorers a suite may name. A new one is a class and a line here.</summary>
internal static class ScorerCatalog
{
    private static readonly FrozenDictionary<string, ScorerRegistration> ByType = new[]
    {
        ContainsScorer.CaseSensitive,
        ContainsScorer.CaseInsensitive,
        NotContainsScorer.Registration,
        EqualsScorer.Registration,
        RegexScorer.Registration,
        WordCountScorer.AtMost,
        WordCountScorer.AtLeast,
        RefusalScorer.Registration,
        JsonSchemaScorer.Registration,
        JsonPathScorer.Registration,
        ToolCallScorer.Registration,
        SimilarityScorer.Registration,
        JudgeScorer.Registration,
    }.ToFrozenDictionary(registration => registration.Type, StringComparer.Ordinal);

    public static IEnumerable<string> Types => ByType.Keys.Order(StringComparer.Ordinal);

    public static WeightedScorer Read(YamlMap entry)
    {
        var type = entry.Text("type");
        var weight = entry.OptionalNumber("weight", 0, 100) ?? 1;
        if (!ByType.TryGetValue(type, out var registration))
            throw entry.Problem($"unknown scorer '{type}'; known: {string.Join(", ", Types)}.");
        var scorer = registration.Create(entry);
        entry.Close();
        return new WeightedScorer(scorer, weight);
    }
}
