using System.Globalization;
using System.Numerics;
using System.Text.Json.Nodes;
using YamlDotNet.Core;
using YamlDotNet.RepresentationModel;

namespace AiAspire.Evaluator.Suites;

/// <summary>
/// A YAML mapping that is read key by key and then closed: a key nobody asked for is refused with its line, because a
/// misspelt <c>critcal: true</c> would otherwise pass as an ordinary case.
/// </summary>
public sealed class YamlMap
{
    private readonly string _file;
    private readonly string _what;
    private readonly YamlMappingNode _node;
    private readonly Dictionary<string, YamlNode> _unread = new(StringComparer.Ordinal);
    private readonly List<string> _known = [];

    internal YamlMap(string file, string what, YamlNode node)
    {
        _file = file;
        _what = what;
        _node = node as YamlMappingNode ?? throw new SuiteFormatException(file, node.Start.Line, $"{what} must be a mapping of keys to values.");
        foreach (var (key, value) in _node.Children)
            _unread.Add(key is YamlScalarNode { Value: { } name } ? name : throw Problem(key, "a key must be a plain word."), value);
    }

    /// <summary>One-based line at which the mapping starts.</summary>
    public long Line => _node.Start.Line;

    public bool Has(string key) => _unread.ContainsKey(key);

    public string Text(string key) => OptionalText(key) ?? throw Missing(key);

    public string? OptionalText(string key) => Take(key) switch
    {
        null => null,
        YamlScalarNode scalar => scalar.Value ?? string.Empty,
        var other => throw Problem(other, $"'{key}' must be text."),
    };

    public double Number(string key, double min, double max) => OptionalNumber(key, min, max) ?? throw Missing(key);

    public double? OptionalNumber(string key, double min, double max) => OptionalNumber(key, min, max, NumberStyles.Float, "a number");

    public int WholeNumber(string key, int min, int max) => OptionalWholeNumber(key, min, max) ?? throw Missing(key);

    public int? OptionalWholeNumber(string key, int min, int max) => OptionalNumber(key, min, max, NumberStyles.AllowLeadingSign, "a whole number");

    public bool Flag(string key, bool otherwise = false) => Take(key) switch
    {
        null => otherwise,
        YamlScalarNode { Value: "true" } => true,
        YamlScalarNode { Value: "false" } => false,
        var other => throw Problem(other, $"'{key}' must be true or false."),
    };

    public IReadOnlyList<string> Texts(string key) => Take(key) switch
    {
        null => [],
        YamlSequenceNode list => [.. list.Select(item => item is YamlScalarNode { Value: { } text }
            ? text
            : throw Problem(item, $"'{key}' must be a list of texts."))],
        var other => throw Problem(other, $"'{key}' must be a list of texts."),
    };

    public YamlMap? OptionalMap(string key) => Take(key) is { } node ? new YamlMap(_file, $"'{key}'", node) : null;

    public IReadOnlyList<YamlMap> Maps(string key) => Take(key) switch
    {
        null => [],
        YamlSequenceNode list => [.. list.Select((item, i) => new YamlMap(_file, $"'{key}' entry {i + 1}", item))],
        var other => throw Problem(other, $"'{key}' must be a list."),
    };

    /// <summary>Any value, as JSON: what a schema, a tool or an argument is written as.</summary>
    public JsonNode? OptionalJson(string key) => Take(key) is { } node ? ToJson(node) : null;

    /// <summary>Refuses the keys that were not asked for.</summary>
    public void Close()
    {
        foreach (var (key, _) in _unread)
        {
            var line = _node.Children.Keys.First(k => ((YamlScalarNode)k).Value == key).Start.Line;
            throw new SuiteFormatException(_file, line, $"unknown key '{key}' in {_what}; known here: {string.Join(", ", _known)}.");
        }
    }

    internal SuiteFormatException Problem(string problem) => new(_file, Line, $"{_what}: {problem}");

    private SuiteFormatException Problem(YamlNode node, string problem) => new(_file, node.Start.Line, $"{_what}: {problem}");

    private SuiteFormatException Missing(string key) => Problem($"'{key}' is missing.");

    private T? OptionalNumber<T>(string key, T min, T max, NumberStyles styles, string what)
        where T : struct, INumber<T>
    {
        if (Take(key) is not { } node)
            return null;
        return node is YamlScalarNode { Value: { } text }
            && T.TryParse(text, styles, CultureInfo.InvariantCulture, out var number)
            && number >= min && number <= max
            ? number
            : throw Problem(node, $"'{key}' must be {what} from {min} to {max}.");
    }

    private YamlNode? Take(string key)
    {
        _known.Add(key);
        return _unread.Remove(key, out var node) ? node : null;
    }

    // The scalars of YAML's core schema (YAML 1.2.2, section 10.3.2): only plain ones are anything but text.
    private static JsonNode? ToJson(YamlNode node) => node switch
    {
        YamlMappingNode map => new JsonObject(map.Children.Select(pair =>
            KeyValuePair.Create(((YamlScalarNode)pair.Key).Value ?? string.Empty, ToJson(pair.Value)))),
        YamlSequenceNode list => new JsonArray([.. list.Select(ToJson)]),
        YamlScalarNode { Style: ScalarStyle.Plain, Value: var text } => text switch
        {
            null or "" or "~" or "null" => null,
            "true" => JsonValue.Create(true),
            "false" => JsonValue.Create(false),
            _ when long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var whole) => JsonValue.Create(whole),
            _ when double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var number)
                && double.IsFinite(number) => JsonValue.Create(number),
            _ => JsonValue.Create(text),
        },
        YamlScalarNode scalar => JsonValue.Create(scalar.Value),
        _ => null,
    };
}
