using CsCheck;

namespace AiAspire.Unit.CoreTests.Wire;

/// <summary>JSON as text, with the spellings that a reader and writer would change: <c>1.50</c>, <c>-0.0</c>, <c>\u00e9</c>, spaces.</summary>
internal static class JsonTexts
{
    private static readonly Gen<string> Scalars = Gen.OneOf(
        "0", "-0", "-0.0", "1.50", "1e-7", "1E+2", "3.0000000000000000000001", "123456789012345678901234567890", "1e400", "true", "false", "null",
        "\"\"", "\"plain\"", "\"\\u00e9\"", "\"é\"", "\"\\/\"", "\"\\ud83d\\ude00\"", "\"<b>&'\\\"\"", "\"\\n\\t\"", "\"max_tokens\"");

    public static Gen<string> Names { get; } = Gen.OneOf(
        Gen.String[Gen.Char['a', 'z'], 1, 8],
        Gen.OneOf("temperature", "seed", "x-vendor", "ünknown", "with space", "metadata", "logit_bias", "<html>"));

    public static Gen<string> Value(int depth = 3) => depth == 0
        ? Scalars
        : Gen.OneOf(
            Scalars,
            Value(depth - 1).Array[0, 4].Select(items => "[" + string.Join(" ,\n", items) + "]"),
            Fields(depth - 1).Select(fields => "{" + string.Join(", ", fields.Select(f => $"\"{f.Name}\" : {f.Value}")) + "}"));

    public static Gen<(string Name, string Value)[]> Fields(int depth)
        => Gen.Select(Names, Value(depth)).Array[0, 4].Select(fields => fields.DistinctBy(f => f.Item1).ToArray());
}
