using System.Text.Json;
using System.Text.RegularExpressions;
using AiAspire.Simulator.Behaviours;
using AiAspire.Simulator.Generation;

namespace AiAspire.Simulator.Replies;

/// <summary>
/// Decides what a model says, in this order: scripted rule, <c>say exactly: TEXT</c>, tool call, answer to a tool's result, instance
/// of the asked schema, short answer about the user's text. The same prompt always gets the same reply.
/// </summary>
internal sealed partial class ReplyWriter(ScriptedRules rules)
{
    private const string SayExactly = "say exactly:";
    private const int QuoteLength = 240;

    public IReadOnlyList<ReplyPart> Write(ChatPrompt prompt, string model, Behaviour behaviour)
    {
        var text = prompt.LastUserText;
        var wrong = IsWrong(prompt, model, behaviour);
        if (rules.Find(prompt, model) is { } scripted) return [wrong ? Spoil(scripted, prompt) : scripted];
        // An order to the simulator itself, for tests: drift does not touch it.
        if (prompt.ToolResult is null && !MustCall(prompt) && ExactText(text) is { } exact) return [new ReplyPart(null, exact)];
        if (prompt.ToolResult is null && ToolsToCall(prompt) is { Count: > 0 } tools)
            return [.. tools.Select(t => new ReplyPart(t.Name, SchemaInstance.Of(t.Parameters, wrong ? 1 : 0)))];
        if (prompt.Format == AnswerFormat.JsonSchema) return [new ReplyPart(null, SchemaInstance.Of(prompt.Schema, wrong ? 1 : 0))];
        if (prompt.Format == AnswerFormat.JsonObject) return [new ReplyPart(null, JsonAnswer(prompt, wrong))];
        if (wrong) return [new ReplyPart(null, WrongAnswers.Sentence(prompt.Fingerprint()))];
        return [new ReplyPart(null, prompt.ToolResult is { } result ? $"Here is what I found: {result}" : Echo(text))];
    }

    private static bool IsWrong(ChatPrompt prompt, string model, Behaviour behaviour)
        => behaviour.QualityDrift > 0
            && StableHash.Unit(StableHash.Combine(prompt.Fingerprint(), StableHash.Of(model, (ulong)behaviour.Seed))) < behaviour.QualityDrift;

    private static ReplyPart Spoil(ReplyPart right, ChatPrompt prompt)
    {
        if (right.ToolName is null && !IsJson(right.Text)) return new ReplyPart(null, WrongAnswers.Sentence(prompt.Fingerprint()));
        var schema = right.ToolName is { } tool ? prompt.Tools.Find(t => t.Name == tool)!.Parameters : prompt.Schema;
        var fitting = schema.ValueKind == JsonValueKind.Object ? SchemaInstance.Of(schema, salt: 1) : right.Text;
        return right with { Text = fitting != right.Text ? fitting : WrongAnswers.Spoil(right.Text) };
    }

    private static bool IsJson(string text) => text is ['{' or '[', ..];

    private static string? ExactText(string text)
        => text.StartsWith(SayExactly, StringComparison.OrdinalIgnoreCase) ? text[SayExactly.Length..].TrimStart(' ') : null;

    private static bool MustCall(ChatPrompt prompt) => prompt.Tools.Count > 0 && prompt.Demand == ToolDemand.Required;

    private static List<OfferedTool> ToolsToCall(ChatPrompt prompt)
    {
        if (prompt.Tools.Count == 0 || prompt.Demand == ToolDemand.None) return [];
        var text = prompt.LastUserText;
        if (prompt.ForcedTool is { } forced) return prompt.Tools.FindAll(t => t.Name == forced)[..1];
        if (prompt.ParallelToolCalls && text.Contains("parallel", StringComparison.OrdinalIgnoreCase)) return prompt.Tools;
        var words = Words(text).ToHashSet(StringComparer.OrdinalIgnoreCase);
        var named = prompt.Tools.Find(t => Words(t.Name).All(words.Contains));
        if (named is not null) return [named];
        var asks = MustCall(prompt) || text.AsSpan().TrimEnd().EndsWith('?') || text.Contains("weather", StringComparison.OrdinalIgnoreCase);
        return asks ? prompt.Tools[..1] : [];
    }

    /// <summary><c>get_openWeather</c> → get, open, Weather.</summary>
    private static IEnumerable<string> Words(string text) => WordPattern().Matches(text).Select(m => m.Value);

    private static string JsonAnswer(ChatPrompt prompt, bool wrong) => CompactJson.Write(writer =>
    {
        writer.WriteStartObject();
        writer.WriteString("answer", wrong ? WrongAnswers.Sentence(prompt.Fingerprint()) : prompt.ToolResult ?? Echo(prompt.LastUserText));
        writer.WriteEndObject();
    });

    private static string Echo(string text)
    {
        var trimmed = text.AsSpan().Trim();
        if (trimmed.IsEmpty) return "I received your message, but it holds no text that I could answer.";
        var cut = trimmed.Length > QuoteLength ? QuoteLength : trimmed.Length;
        if (cut < trimmed.Length && char.IsHighSurrogate(trimmed[cut - 1])) cut--;
        var quote = trimmed[..cut].ToString() + (cut < trimmed.Length ? "…" : "");
        return $"You wrote: \"{quote}\". This is a simulated answer about it.";
    }

    [GeneratedRegex(@"\p{Lu}?\p{Ll}+|\p{Lu}+(?!\p{Ll})|\p{Nd}+|\p{Lo}+", RegexOptions.CultureInvariant, matchTimeoutMilliseconds: 1000)]
    private static partial Regex WordPattern();
}
