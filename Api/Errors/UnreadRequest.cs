using System.Text.Json;
using System.Text.RegularExpressions;
using AiAspire.Core.Wire;

namespace AiAspire.Api.Errors;

/// <summary>
/// What the framework could not read into an endpoint's parameters, in the caller's terms: the field at fault and what it takes. The
/// framework's own words name our types, and the field only in their inner exception.
/// </summary>
internal static partial class UnreadRequest
{
    private const int MatchMilliseconds = 1000;

    private static readonly (string Type, string Takes)[] Kinds =
    [
        ("Int32", "a whole number"), ("Int64", "a whole number"), ("Int16", "a whole number"), ("int", "a whole number"), ("long", "a whole number"),
        ("Decimal", "a number"), ("Double", "a number"), ("Boolean", "true or false"), ("bool", "true or false"),
        ("DateTimeOffset", "a time as in 2026-11-24T18:00:00Z"), ("Guid", "an id (a UUID)"), ("String[]", "an array of strings"), ("Dictionary", "an object of strings"), ("String", "a string"),
    ];

    /// <returns>Null: it is not of this kind, and its own message serves.</returns>
    public static WireException? Of(BadHttpRequestException exception) => exception switch
    {
        { InnerException: JsonException json } => OfBody(json),
        { StatusCode: not StatusCodes.Status400BadRequest } => null,
        _ when UnboundParameter().Match(exception.Message) is { Success: true } unbound => Wrong(JsonNamingPolicy.SnakeCaseLower.ConvertName(unbound.Groups["name"].Value), unbound.Groups["type"].Value),
        _ when MissingParameter().Match(exception.Message) is { Success: true } missing => missing.Groups["source"].Value == "body"
            ? WireException.BadRequest("The request body is empty. Send a JSON object; its fields are listed at /openapi/v1.json.", null)
            : Missing(JsonNamingPolicy.SnakeCaseLower.ConvertName(missing.Groups["name"].Value)),
        _ => null,
    };

    private static WireException OfBody(JsonException json)
    {
        var path = json.Path is { Length: > 2 } at && at.StartsWith("$.", StringComparison.Ordinal) ? at[2..] : null;
        if (UnknownField().Match(json.Message) is { Success: true } unknown)
        {
            var name = unknown.Groups["name"].Value;
            var field = path is not null && path.EndsWith(name, StringComparison.Ordinal) ? path : name;
            return WireException.BadRequest($"'{field}' is unknown here; the fields are listed at /openapi/v1.json.", field, "unknown_field");
        }

        if (MissingFields().Match(json.Message) is { Success: true } missing)
            return Missing(missing.Groups["name"].Value);
        // The reader's exception lies within when the text is no JSON at all.
        if (json.InnerException is JsonException || path is null || !json.Message.Contains("could not be converted", StringComparison.Ordinal))
            return WireException.BadRequest($"The request body is not valid JSON: line {(json.LineNumber ?? 0) + 1}, byte {(json.BytePositionInLine ?? 0) + 1}.", null, "invalid_json");
        return Wrong(path, TypeOf(path, json.Message));
    }

    /// <summary>The message names the field's type, or that of the whole request, which then knows it.</summary>
    private static string TypeOf(string path, string message)
    {
        var named = message.Split("converted to ")[^1].Split(". Path:")[0].TrimEnd('.');
        var field = typeof(UnreadRequest).Assembly.GetType(named)?.GetProperties().FirstOrDefault(p => JsonNamingPolicy.SnakeCaseLower.ConvertName(p.Name) == path)?.PropertyType;
        return field is null ? named : (Nullable.GetUnderlyingType(field) ?? field).Name;
    }

    private static WireException Missing(string field) => WireException.BadRequest($"'{field}' is missing.", field, "missing_required_parameter");

    private static WireException Wrong(string field, string type)
        => WireException.BadRequest(
            Kinds.FirstOrDefault(k => type.Contains(k.Type, StringComparison.Ordinal)).Takes is { } takes
                ? $"'{field}' must be {takes}."
                : $"'{field}' is of another kind than this field takes; see /openapi/v1.json.",
            field,
            "invalid_type");

    [GeneratedRegex("^Failed to bind parameter \"(?<type>[^\"]+) (?<name>\\w+)\" from ", RegexOptions.CultureInvariant, MatchMilliseconds)]
    private static partial Regex UnboundParameter();

    [GeneratedRegex("^(?:Required parameter \"[^\"]+ (?<name>\\w+)\" was not provided from (?<source>\\w+)|Implicit (?<source>body))", RegexOptions.CultureInvariant | RegexOptions.ExplicitCapture, MatchMilliseconds)]
    private static partial Regex MissingParameter();

    [GeneratedRegex("^The JSON property '(?<name>.+)' could not be mapped to any \\.NET member", RegexOptions.CultureInvariant, MatchMilliseconds)]
    private static partial Regex UnknownField();

    [GeneratedRegex("missing required properties including: '(?<name>[^']+)'", RegexOptions.CultureInvariant, MatchMilliseconds)]
    private static partial Regex MissingFields();
}
