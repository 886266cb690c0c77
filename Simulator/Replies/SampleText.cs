using System.Text.Json;
using System.Text.RegularExpressions;

namespace AiAspire.Simulator.Replies;

/// <summary>Example strings for schema instances, chosen by format or by what the property is called.</summary>
internal static class SampleText
{
    private static readonly Dictionary<string, string[]> ByFormat = new(StringComparer.Ordinal)
    {
        ["date-time"] = ["2025-01-15T09:30:00Z", "2024-06-01T18:00:00Z"],
        ["date"] = ["2025-01-15", "2024-06-01"],
        ["time"] = ["09:30:00Z", "18:00:00Z"],
        ["duration"] = ["P1D", "PT2H"],
        ["email"] = ["ada@example.com", "bob@example.org"],
        ["hostname"] = ["example.com", "example.org"],
        ["ipv4"] = ["192.0.2.1", "198.51.100.7"],
        ["ipv6"] = ["2001:db8::1", "2001:db8::2"],
        ["uri"] = ["https://example.com/a", "https://example.org/b"],
        ["uuid"] = ["0190a5c2-7d3e-7b1a-8c4d-5e6f70819203", "0190a5c2-7d3e-7b1a-8c4d-5e6f70819204"],
    };

    private static readonly (string Word, string[] Samples)[] ByName =
    [
        ("city", ["Paris", "Lima"]),
        ("location", ["Paris", "Lima"]),
        ("country", ["France", "Peru"]),
        ("email", ["ada@example.com", "bob@example.org"]),
        ("name", ["Ada Lovelace", "Alan Turing"]),
        ("date", ["2025-01-15", "2024-06-01"]),
        ("language", ["English", "French"]),
        ("currency", ["EUR", "USD"]),
        ("unit", ["celsius", "kelvin"]),
        ("query", ["opening hours", "lost luggage"]),
        ("reason", ["requested by the user", "changed plans"]),
        ("id", ["A-1001", "B-2002"]),
    ];

    /// <summary>Tried in turn against a <c>pattern</c>; a pattern that none of them meets is not met.</summary>
    private static readonly string[] PatternCandidates =
        ["A-1001", "abc", "ABC", "a1", "A1", "123", "1", "12345", "2025-01-15", "09:30", "ada@example.com", "+15550100", "https://example.com/a", "AB-123", "ab_cd", "EUR"];

    public static string For(string name, int salt)
    {
        foreach (var (word, samples) in ByName)
            if (name.Contains(word, StringComparison.OrdinalIgnoreCase))
                return samples[salt % samples.Length];
        return salt == 0 ? $"sample {name}" : $"other {name}";
    }

    public static string For(string name, JsonElement schema, int salt)
    {
        var text = schema.TryGetProperty("format", out var format) && format.ValueKind == JsonValueKind.String
            && ByFormat.TryGetValue(format.GetString()!, out var samples)
            ? samples[salt % samples.Length]
            : For(name, salt);
        if (schema.TryGetProperty("pattern", out var pattern) && pattern.ValueKind == JsonValueKind.String) text = Matching(pattern.GetString()!, text);
        var min = Length(schema, "minLength", 0);
        var max = Length(schema, "maxLength", int.MaxValue);
        if (text.Length < min) text = text.PadRight(Math.Min(min, 100_000), 'x');
        return text.Length > max ? text[..max] : text;
    }

    private static string Matching(string pattern, string fallback)
    {
        try
        {
            var regex = new Regex(pattern, RegexOptions.CultureInvariant, TimeSpan.FromMilliseconds(100));
            return Array.Find([fallback, .. PatternCandidates], candidate => regex.IsMatch(candidate)) ?? fallback;
        }
        catch (Exception e) when (e is ArgumentException or RegexMatchTimeoutException)
        {
            // Not a pattern of this engine: the value is a sample, not a proof.
            return fallback;
        }
    }

    private static int Length(JsonElement schema, string name, int otherwise)
        => schema.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out var length) && length >= 0
            ? length
            : otherwise;
}
