using System.Text;
using System.Text.Json;

namespace Aspire.Hosting.Embedded;

/// <summary>Makes a log line short enough to read in passing. Structured (JSON) lines become <c>level category message</c>.</summary>
internal static class LogLine
{
    private static readonly string[] LevelKeys = ["LogLevel", "level", "severity", "Level"];
    private static readonly string[] CategoryKeys = ["Category", "category", "logger", "SourceContext"];
    private static readonly string[] MessageKeys = ["Message", "message", "msg", "@m"];
    private static readonly string[] ExceptionKeys = ["Exception", "exception"];

    public static string Render(string line)
    {
        if (!line.StartsWith('{'))
            return line;

        try
        {
            using var json = JsonDocument.Parse(line);
            var message = First(json.RootElement, MessageKeys);
            if (message is null)
                return line;

            var text = new StringBuilder();
            if (First(json.RootElement, LevelKeys) is { } level)
                text.Append(Short(level)).Append(' ');
            if (First(json.RootElement, CategoryKeys) is { } category)
                text.Append(category[(category.LastIndexOf('.') + 1)..]).Append(' ');
            text.Append(message);
            if (First(json.RootElement, ExceptionKeys) is { Length: > 0 } exception && !message.Contains(exception, StringComparison.Ordinal))
                text.Append("\n    ").Append(exception);
            return text.ToString();
        }
        catch (JsonException)
        {
            return line;
        }
    }

    /// <summary>Whether a line of PostgreSQL's log is worth the console: its chatter goes to the file only.</summary>
    public static bool IsPostgresChatter(string line) =>
        line.Contains(" LOG:  ", StringComparison.Ordinal) || line.Contains(" DETAIL:  ", StringComparison.Ordinal)
        || line.Contains(" STATEMENT:  ", StringComparison.Ordinal) || line.Contains(" HINT:  ", StringComparison.Ordinal)
        || (line.Contains("the database system is ", StringComparison.Ordinal) && !line.Contains("ready", StringComparison.Ordinal)) // our own health check, asking early
        || line.StartsWith('\t');

    private static string? First(JsonElement element, string[] keys)
    {
        foreach (var key in keys)
            if (element.TryGetProperty(key, out var value) && value.ValueKind is not (JsonValueKind.Null or JsonValueKind.Undefined))
                return value.ToString();
        return null;
    }

    private static string Short(string level) => level switch
    {
        "Trace" => "trce",
        "Debug" => "dbug",
        "Information" => "info",
        "Warning" => "warn",
        "Error" => "fail",
        "Critical" => "crit",
        _ => level,
    };
}
