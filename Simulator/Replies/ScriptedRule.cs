using System.Text.Json;
using System.Text.RegularExpressions;

namespace AiAspire.Simulator.Replies;

/// <summary>One rule of a file in the rules folder, see README.md. Exactly one of reply, tool call and JSON is set.</summary>
internal sealed class ScriptedRule
{
    public required Regex Pattern { get; init; }

    public string? Model { get; init; }

    public Regex? System { get; init; }

    /// <summary>Answers the results of tools (which are then the subject of <see cref="Pattern"/>'s user message), instead of the user.</summary>
    public bool AfterTool { get; init; }

    public string? Reply { get; init; }

    public string? ToolName { get; init; }

    /// <summary>Arguments of the tool call, or the JSON to reply with, as compact JSON with placeholders.</summary>
    public string? Json { get; init; }
}

/// <summary>Reads rule files; a file that cannot be understood stops the start, naming file, rule and field.</summary>
internal static class RuleFiles
{
    private static readonly string[] Fields = ["pattern", "model", "system", "afterTool", "reply", "toolCall", "json", "comment"];

    public static IReadOnlyList<ScriptedRule> Load(string folder)
    {
        if (!Directory.Exists(folder)) return [];
        var rules = new List<ScriptedRule>();
        foreach (var file in Directory.EnumerateFiles(folder, "*.json").Order(StringComparer.Ordinal)) rules.AddRange(LoadFile(file));
        return rules;
    }

    private static IEnumerable<ScriptedRule> LoadFile(string file)
    {
        try
        {
            using var document = JsonDocument.Parse(
                File.ReadAllBytes(file), new JsonDocumentOptions { CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true });
            if (document.RootElement.ValueKind != JsonValueKind.Array) throw new FormatException("a rule file is an array of rules");
            return [.. document.RootElement.EnumerateArray().Select(Read)];
        }
        catch (Exception e) when (e is JsonException or FormatException or ArgumentException)
        {
            throw new InvalidOperationException($"Rule file {Path.GetFileName(file)}: {e.Message}", e);
        }
    }

    private static ScriptedRule Read(JsonElement json, int index)
    {
        if (json.ValueKind != JsonValueKind.Object) throw Bad(index, "is not an object");
        foreach (var property in json.EnumerateObject())
            if (!Fields.Contains(property.Name))
                throw Bad(index, $"has an unknown field '{property.Name}'");

        var pattern = Text(json, "pattern", index) ?? throw Bad(index, "has no 'pattern'");
        var system = Text(json, "system", index);
        var reply = Text(json, "reply", index);
        var hasCall = json.TryGetProperty("toolCall", out var call);
        var hasJson = json.TryGetProperty("json", out var value);
        if ((reply is null ? 0 : 1) + (hasCall ? 1 : 0) + (hasJson ? 1 : 0) != 1) throw Bad(index, "needs exactly one of 'reply', 'toolCall' and 'json'");

        string? toolName = null;
        if (hasCall)
        {
            if (call.ValueKind != JsonValueKind.Object) throw Bad(index, "needs an object as 'toolCall'");
            toolName = Text(call, "name", index) ?? throw Bad(index, "has a 'toolCall' without 'name'");
            if (!call.TryGetProperty("arguments", out value) || value.ValueKind != JsonValueKind.Object) throw Bad(index, "needs an object as 'toolCall.arguments'");
        }

        return new ScriptedRule
        {
            Pattern = Compile(pattern),
            Model = Text(json, "model", index),
            System = system is null ? null : Compile(system),
            AfterTool = json.TryGetProperty("afterTool", out var after) && after.ValueKind == JsonValueKind.True,
            Reply = reply,
            ToolName = toolName,
            Json = hasCall || hasJson ? CompactJson.Of(value) : null,
        };
    }

    /// <summary>Non-backtracking: a pattern over a caller's text must not be a way to burn a core.</summary>
    private static Regex Compile(string pattern)
        => new(pattern, RegexOptions.NonBacktracking | RegexOptions.IgnoreCase | RegexOptions.CultureInvariant, TimeSpan.FromSeconds(1));

    private static string? Text(JsonElement json, string name, int index)
        => !json.TryGetProperty(name, out var value) ? null
            : value.ValueKind == JsonValueKind.String ? value.GetString()
            : throw Bad(index, $"needs a string as '{name}'");

    private static FormatException Bad(int index, string problem) => new($"rule {index} {problem}");
}
