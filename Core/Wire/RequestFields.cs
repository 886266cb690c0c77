using System.Text.Json;

namespace AiAspire.Core.Wire;

/// <summary>Reads optional fields of a request; a wrong type or range becomes a 400 that names the field. <c>null</c> counts as absent, as at OpenAI.</summary>
internal readonly struct RequestFields(JsonElement root, string prefix = "")
{
    public string? String(string name) => Find(name) switch
    {
        null => null,
        { ValueKind: JsonValueKind.String } value => value.GetString(),
        _ => throw WrongType(name, "a string"),
    };

    public bool? Boolean(string name) => Find(name) switch
    {
        null => null,
        { ValueKind: JsonValueKind.True } => true,
        { ValueKind: JsonValueKind.False } => false,
        _ => throw WrongType(name, "a boolean"),
    };

    public JsonElement? Object(string name) => Find(name) switch
    {
        null => null,
        { ValueKind: JsonValueKind.Object } value => value,
        _ => throw WrongType(name, "an object"),
    };

    public int? Integer(string name, int least, int most)
    {
        if (Find(name) is not { } value)
            return null;
        if (value.ValueKind != JsonValueKind.Number || !value.TryGetInt32(out var number))
            throw WrongType(name, "an integer");
        return number >= least && number <= most ? number : throw OutOfRange(name, value, least, most);
    }

    public double? Number(string name, double least, double most)
    {
        if (Find(name) is not { } value)
            return null;
        if (value.ValueKind != JsonValueKind.Number || !value.TryGetDouble(out var number))
            throw WrongType(name, "a number");
        return number >= least && number <= most ? number : throw OutOfRange(name, value, least, most);
    }

    private JsonElement? Find(string name)
        => root.TryGetProperty(name, out var value) && value.ValueKind != JsonValueKind.Null ? value : null;

    private WireException WrongType(string name, string expected)
        => WireException.BadRequest($"'{prefix}{name}' must be {expected}.", prefix + name, "invalid_type");

    private WireException OutOfRange(string name, JsonElement value, double least, double most)
        => WireException.BadRequest(
            most >= int.MaxValue
                ? $"'{prefix}{name}' is {value.GetRawText()}; it must be at least {least}."
                : $"'{prefix}{name}' is {value.GetRawText()}; it must be between {least} and {most}.",
            prefix + name,
            "invalid_value");
}
