using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using AiAspire.Evaluator.Gate;
using AiAspire.Evaluator.Scoring;
using YamlDotNet.Core;
using YamlDotNet.RepresentationModel;

namespace AiAspire.Evaluator.Suites;

/// <summary>Reads a suite file, strictly: what it does not understand it refuses, with the line.</summary>
public static partial class SuiteReader
{
    private const int MaxRepeats = 20;
    private const int LongestMessage = 1_000_000;
    private static readonly string[] Roles = ["system", "developer", "user", "assistant"];

    /// <exception cref="SuiteFormatException">The content is not a suite.</exception>
    /// <exception cref="IOException">The file cannot be read.</exception>
    public static async Task<EvaluationSuite> ReadFileAsync(string path, CancellationToken cancellationToken) =>
        Read(await File.ReadAllTextAsync(path, cancellationToken), path);

    /// <param name="yaml">The content.</param>
    /// <param name="file">How messages call it.</param>
    /// <exception cref="SuiteFormatException">The content is not a suite.</exception>
    public static EvaluationSuite Read(string yaml, string file)
    {
        var stream = new YamlStream();
        try
        {
            stream.Load(new StringReader(yaml));
        }
        catch (YamlException problem)
        {
            throw new SuiteFormatException(file, problem.Start.Line, problem.Message, problem);
        }

        if (stream.Documents.Count != 1)
            throw new SuiteFormatException(file, 1, "a suite is exactly one YAML document.");

        var root = new YamlMap(file, "the suite", stream.Documents[0].RootNode);
        var name = root.Text("name");
        if (!Identifier().IsMatch(name))
            throw root.Problem("'name' must be letters, digits, '.', '-' and '_'.");
        var description = root.OptionalText("description");
        var feature = root.OptionalText("feature");
        var defaultsMap = root.OptionalMap("defaults");
        var defaults = ReadDefaults(defaultsMap);
        var margin = defaultsMap?.OptionalNumber("margin", 0.001, 1);
        defaultsMap?.Close();
        var gate = ReadGate(root.OptionalMap("gate"), margin);
        var cases = root.Maps("cases").Select(map => ReadCase(map, defaults)).ToList();
        root.Close();

        if (cases.Count == 0)
            throw root.Problem("'cases' is empty.");
        if (cases.GroupBy(c => c.Id).FirstOrDefault(g => g.Count() > 1) is { } twice)
            throw root.Problem($"case id '{twice.Key}' occurs {twice.Count()} times.");

        return new EvaluationSuite
        {
            Name = name,
            Description = description,
            Feature = feature,
            Defaults = defaults,
            Gate = gate,
            Cases = cases,
            Hash = Sha256(yaml),
            PromptsHash = Sha256(string.Join('\n', cases.Select(c => c.Request.ToJsonString()))),
        };
    }

    internal static string Sha256(string text) =>
        $"sha256:{Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text)))}";

    private static SuiteDefaults ReadDefaults(YamlMap? map) => map is null ? new SuiteDefaults() : new SuiteDefaults
    {
        System = map.OptionalText("system"),
        Temperature = map.OptionalNumber("temperature", 0, 2),
        MaxTokens = map.OptionalWholeNumber("max_tokens", 1, 1_000_000),
        Repeats = map.OptionalWholeNumber("repeats", 1, MaxRepeats) ?? 3,
        JudgeModel = map.OptionalText("judge_model"),
        EmbeddingModel = map.OptionalText("embedding_model"),
    };

    private static GateSettings ReadGate(YamlMap? map, double? margin)
    {
        var gate = new GateSettings();
        gate = gate with
        {
            PassRate = map?.OptionalNumber("pass_rate", 0, 1) ?? gate.PassRate,
            Margin = map?.OptionalNumber("margin", 0.001, 1) ?? margin ?? gate.Margin,
            MaxErrorRate = map?.OptionalNumber("max_error_rate", 0, 1) ?? gate.MaxErrorRate,
            MaxCostUsd = (decimal?)map?.OptionalNumber("max_cost_usd", 0, 1000),
            P95LatencyMs = map?.OptionalNumber("p95_latency_ms", 1, 3_600_000),
        };
        map?.Close();
        return gate;
    }

    private static SuiteCase ReadCase(YamlMap map, SuiteDefaults defaults)
    {
        var id = map.Text("id");
        if (!Identifier().IsMatch(id))
            throw map.Problem("'id' must be letters, digits, '.', '-' and '_'.");
        var (messages, question) = ReadMessages(map, defaults);
        var request = new JsonObject { ["messages"] = messages };
        if (map.OptionalJson("tools") is { } tools)
            request["tools"] = tools;
        if (map.OptionalJson("response_format") is { } format)
            request["response_format"] = format;
        if ((map.OptionalNumber("temperature", 0, 2) ?? defaults.Temperature) is { } temperature)
            request["temperature"] = temperature;
        if ((map.OptionalWholeNumber("max_tokens", 1, 1_000_000) ?? defaults.MaxTokens) is { } maxTokens)
            request["max_tokens"] = maxTokens;
        var tags = map.Texts("tags");
        var critical = map.Flag("critical");
        var scorers = map.Maps("scorers").Select(ScorerCatalog.Read).ToList();
        map.Close();

        if (!scorers.Exists(s => s.Weight > 0))
            throw map.Problem($"case '{id}' has no scorer with a weight, so it could never fail.");
        return new SuiteCase { Id = id, Tags = tags, Critical = critical, Request = request, Scorers = scorers, Question = question };
    }

    private static (JsonArray Messages, string Question) ReadMessages(YamlMap map, SuiteDefaults defaults)
    {
        var messages = new JsonArray();
        if ((map.OptionalText("system") ?? defaults.System) is { } system)
            messages.Add(Message("system", system));

        if (map.Has("user") == map.Has("messages"))
            throw map.Problem("a case has either 'user' or 'messages'.");
        foreach (var message in map.Maps("messages"))
        {
            var role = message.Text("role");
            if (!Roles.Contains(role))
                throw message.Problem($"'role' must be one of {string.Join(", ", Roles)}.");
            messages.Add(Message(role, message.Text("content")));
            message.Close();
        }

        if (map.OptionalText("user") is { } user)
            messages.Add(Message("user", Padding(map.OptionalMap("padding")) + user));

        var last = messages.LastOrDefault(m => (string?)m!["role"] == "user")
            ?? throw map.Problem("a case needs a user message.");
        return (messages, (string)last["content"]!);
    }

    // A very long message without a very long file: the text, so many times, in front of the user's own words.
    private static string Padding(YamlMap? map)
    {
        if (map is null)
            return string.Empty;
        var text = map.Text("text");
        var times = map.WholeNumber("times", 1, 100_000);
        map.Close();
        return (long)text.Length * times <= LongestMessage
            ? new StringBuilder(text.Length * times).Insert(0, text, times).ToString()
            : throw map.Problem($"the padded message is longer than {LongestMessage} characters.");
    }

    private static JsonObject Message(string role, string content) => new() { ["role"] = role, ["content"] = content };

    [GeneratedRegex(@"\A[A-Za-z0-9][A-Za-z0-9._-]{0,99}\z", RegexOptions.None, 1000)]
    private static partial Regex Identifier();
}
