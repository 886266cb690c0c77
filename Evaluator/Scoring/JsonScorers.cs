using System.Text.Json;
using System.Text.Json.Nodes;
using Newtonsoft.Json.Linq;
using NJsonSchema;
using NJsonSchema.Validation;

namespace AiAspire.Evaluator.Scoring;

/// <summary><c>json_schema</c>: the whole reply is JSON that satisfies <c>schema</c> (a schema written in the suite).</summary>
internal sealed class JsonSchemaScorer(JsonSchema schema) : IScorer
{
    public static ScorerRegistration Registration { get; } = new("json_schema", static entry =>
    {
        var schema = entry.OptionalJson("schema") ?? throw entry.Problem("'schema' is missing.");
        try
        {
            // Synchronous in effect: a schema without $ref to files or the network completes at once, and others are refused.
            var reading = JsonSchema.FromJsonAsync(schema.ToJsonString());
            return reading.IsCompletedSuccessfully
                ? new JsonSchemaScorer(reading.GetAwaiter().GetResult())
                : throw entry.Problem("'schema' must stand alone, without references to other documents.");
        }
        catch (Exception problem) when (problem is Newtonsoft.Json.JsonException or InvalidOperationException)
        {
            throw entry.Problem($"'schema' is not a JSON schema: {problem.Message}");
        }
    });

    public string Type => "json_schema";

    public ValueTask<ScorerResult> ScoreAsync(ScoringContext context, CancellationToken cancellationToken)
    {
        ICollection<ValidationError> errors;
        try
        {
            errors = schema.Validate(ReplyJson.Parse(context.Reply.Content));
        }
        catch (Newtonsoft.Json.JsonException)
        {
            return new(ScorerResult.Of(Type, pass: false, "the reply is not JSON"));
        }

        return new(ScorerResult.Of(Type, errors.Count == 0, errors.Count == 0
            ? "the reply satisfies the schema"
            : $"the reply breaks the schema: {string.Join(", ", errors.Take(3).Select(error => $"{error.Kind} at {error.Path}"))}"));
    }
}

/// <summary>
/// <c>json_path</c>: the reply is JSON in which <c>path</c> (JSONPath, RFC 9535 basics) selects something and, with
/// <c>equals</c>, selects that value.
/// </summary>
internal sealed class JsonPathScorer(string path, JToken? expected) : IScorer
{
    public static ScorerRegistration Registration { get; } = new("json_path", static entry =>
    {
        var path = entry.Text("path");
        var expected = entry.Has("equals") ? ReplyJson.Parse(entry.OptionalJson("equals")?.ToJsonString() ?? "null") : null;
        try
        {
            new JObject().SelectToken(path);
        }
        catch (Newtonsoft.Json.JsonException problem)
        {
            throw entry.Problem($"'path' is not a JSONPath: {problem.Message}");
        }

        return new JsonPathScorer(path, expected);
    });

    public string Type => "json_path";

    public ValueTask<ScorerResult> ScoreAsync(ScoringContext context, CancellationToken cancellationToken) =>
        new(Judge(context.Reply.Content));

    private ScorerResult Judge(string content)
    {
        JToken reply;
        try
        {
            reply = ReplyJson.Parse(content);
        }
        catch (Newtonsoft.Json.JsonException)
        {
            return ScorerResult.Of(Type, pass: false, "the reply is not JSON");
        }

        var found = reply.SelectTokens(path).ToList();
        if (found.Count == 0)
            return ScorerResult.Of(Type, pass: false, $"{path} selects nothing");
        var pass = expected is null || found.Exists(token => Same(token, expected));
        return ScorerResult.Of(Type, pass, pass ? $"{path} is as expected" : $"{path} is not {expected!.ToString(Newtonsoft.Json.Formatting.None)}");
    }

    // 2 and 2.0 are the same number in JSON.
    private static bool Same(JToken found, JToken expected) =>
        found is JValue { Value: long or double } && expected is JValue { Value: long or double }
            ? found.Value<double>().Equals(expected.Value<double>())
            : JToken.DeepEquals(found, expected);
}

/// <summary>
/// <c>tool_call</c>: the model calls the tool <c>name</c>, with at least the given <c>arguments</c> (nested objects are
/// compared the same way; texts without regard to case); with <c>none: true</c>, that it calls no tool.
/// </summary>
internal sealed class ToolCallScorer(string? name, JsonObject? arguments) : IScorer
{
    public static ScorerRegistration Registration { get; } = new("tool_call", static entry =>
    {
        var none = entry.Flag("none");
        var name = entry.OptionalText("name");
        var arguments = entry.OptionalJson("arguments");
        if (none != (name is null))
            throw entry.Problem("'tool_call' needs either 'name' or 'none: true'.");
        if (arguments is not (null or JsonObject))
            throw entry.Problem("'arguments' must be a mapping.");
        return new ToolCallScorer(name, (JsonObject?)arguments);
    });

    public string Type => "tool_call";

    public ValueTask<ScorerResult> ScoreAsync(ScoringContext context, CancellationToken cancellationToken) =>
        new(Judge(context.Reply.ToolCalls));

    private ScorerResult Judge(IReadOnlyList<Targets.ToolCall> calls)
    {
        if (name is null)
            return ScorerResult.Of(Type, calls.Count == 0, calls.Count == 0 ? "no tool was called" : $"'{calls[0].Name}' was called");
        var named = calls.Where(call => call.Name == name).ToList();
        if (named.Count == 0)
            return ScorerResult.Of(Type, pass: false, $"'{name}' was not called");
        // Half the score for the right tool: it shows whether a model picks the tool but misreads the request.
        var pass = arguments is null || named.Exists(call => Parse(call.Arguments) is { } given && Includes(given, arguments));
        return ScorerResult.Of(Type, pass, pass ? 1 : 0.5, pass ? $"'{name}' was called as expected" : $"'{name}' was called with other arguments");
    }

    private static JsonNode? Parse(string arguments)
    {
        try
        {
            return JsonNode.Parse(arguments);
        }
        catch (JsonException)
        {
            return null;
        }
    }

    private static bool Includes(JsonNode? given, JsonNode? wanted) => (given, wanted) switch
    {
        (JsonObject have, JsonObject want) => want.All(pair => have.ContainsKey(pair.Key) && Includes(have[pair.Key], pair.Value)),
        (JsonValue have, JsonValue want) when have.TryGetValue(out string? a) && want.TryGetValue(out string? b) =>
            string.Equals(a, b, StringComparison.OrdinalIgnoreCase),
        _ => JsonNode.DeepEquals(given, wanted),
    };
}

/// <summary>JSON as the two scorers above must read it: dates stay text, and nothing may follow.</summary>
internal static class ReplyJson
{
    /// <exception cref="Newtonsoft.Json.JsonException">The text is not one JSON value.</exception>
    public static JToken Parse(string text)
    {
        using var reader = new Newtonsoft.Json.JsonTextReader(new StringReader(text)) { DateParseHandling = Newtonsoft.Json.DateParseHandling.None };
        var value = JToken.ReadFrom(reader);
        return reader.Read() ? throw new Newtonsoft.Json.JsonReaderException("Text follows the JSON value.") : value;
    }
}
