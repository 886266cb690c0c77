using System.Text.Json;
using AiAspire.Core.Wire;

namespace AiAspire.Api.Admin;

/// <summary>
/// The JSON object of an administrative request, field by field: what is absent stays as it is, null is a value, and whatever is wrong
/// becomes a 400 that names the field.
/// </summary>
internal sealed class AdminFields
{
    private const int MaxWords = 100;
    private const int MaxText = 200;
    private readonly JsonElement _root;
    private readonly string _prefix;

    private AdminFields(JsonElement root, string prefix = "") => (_root, _prefix) = (root, prefix);

    /// <param name="request">Its body is read whole; an empty one counts as an empty object.</param>
    /// <param name="known">All fields that the operation has; another one is refused, for it would be ignored.</param>
    /// <param name="cancellationToken">Cancels.</param>
    public static async Task<AdminFields> ReadAsync(HttpRequest request, string[] known, CancellationToken cancellationToken)
    {
        var body = await Chat.RequestBody.ReadAsync(request, cancellationToken);
        JsonElement root;
        try
        {
            root = JsonElement.Parse(body.IsEmpty ? "{}"u8 : body.Span);
        }
        catch (JsonException e)
        {
            throw WireException.BadRequest($"The body is not JSON: {e.Message}", null, "invalid_json");
        }

        if (root.ValueKind != JsonValueKind.Object)
            throw WireException.BadRequest("The body must be a JSON object.", null, "invalid_type");
        return Of(root, "", known);
    }

    private static AdminFields Of(JsonElement root, string prefix, string[] known)
    {
        foreach (var field in root.EnumerateObject())
            if (!known.Contains(field.Name, StringComparer.Ordinal))
                throw WireException.BadRequest($"'{prefix}{field.Name}' is unknown here; known: {string.Join(", ", known)}.", prefix + field.Name, "unknown_field");
        return new AdminFields(root, prefix);
    }

    public bool Has(string name) => _root.TryGetProperty(name, out _);

    public bool IsNull(string name) => _root.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.Null;

    /// <summary>The objects of an array, each with the path by which errors name it; none when the field is absent or null.</summary>
    public List<(string Path, AdminFields Fields)> Objects(string name, int most, string[] known)
    {
        var objects = new List<(string, AdminFields)>();
        if (Value(name) is not { } value)
            return objects;
        if (value.ValueKind != JsonValueKind.Array || value.GetArrayLength() > most)
            throw Wrong(name, $"an array of at most {most} objects", "invalid_type");
        foreach (var (i, item) in value.EnumerateArray().Index())
        {
            var path = $"{_prefix}{name}[{i}]";
            if (item.ValueKind != JsonValueKind.Object)
                throw WireException.BadRequest($"'{path}' must be an object.", path, "invalid_type");
            objects.Add((path, Of(item, $"{path}.", known)));
        }

        return objects;
    }

    public string RequiredText(string name) => Text(name) ?? throw WireException.BadRequest($"'{name}' is missing.", name, "missing_field");

    /// <summary>Null when the field is absent; never null or empty when it is there.</summary>
    public string? Text(string name, int most = MaxText)
    {
        if (!_root.TryGetProperty(name, out var value))
            return null;
        if (value.ValueKind != JsonValueKind.String)
            throw Wrong(name, "a string", "invalid_type");
        var text = value.GetString()!;
        return text.Length >= 1 && text.Length <= most && !string.IsNullOrWhiteSpace(text) && !text.Any(char.IsControl)
            ? text
            : throw Wrong(name, $"1 to {most} characters of text");
    }

    /// <summary>Null when the field is absent or null.</summary>
    public long? Whole(string name, long least, long most)
    {
        if (Value(name) is not { } value)
            return null;
        if (value.ValueKind != JsonValueKind.Number || !value.TryGetInt64(out var number))
            throw Wrong(name, "an integer", "invalid_type");
        return number >= least && number <= most ? number : throw Wrong(name, $"between {least} and {most}");
    }

    /// <summary>Null when the field is absent or null.</summary>
    public decimal? Number(string name, decimal least, decimal most)
    {
        if (Value(name) is not { } value)
            return null;
        if (value.ValueKind != JsonValueKind.Number || !value.TryGetDecimal(out var number))
            throw Wrong(name, "a number", "invalid_type");
        return number >= least && number <= most ? number : throw Wrong(name, $"between {least} and {most}");
    }

    /// <summary>Null when the field is absent.</summary>
    public string[]? Words(string name)
    {
        if (!_root.TryGetProperty(name, out var value))
            return null;
        if (value.ValueKind != JsonValueKind.Array || value.EnumerateArray().Any(v => v.ValueKind != JsonValueKind.String))
            throw Wrong(name, "an array of strings", "invalid_type");
        string[] words = [.. value.EnumerateArray().Select(v => v.GetString()!).Distinct(StringComparer.Ordinal)];
        return words.Length <= MaxWords && words.All(w => w.Length is > 0 and <= MaxText)
            ? words
            : throw Wrong(name, $"at most {MaxWords} strings of 1 to {MaxText} characters");
    }

    public bool? Flag(string name) => Value(name) switch
    {
        null => null,
        { ValueKind: JsonValueKind.True } => true,
        { ValueKind: JsonValueKind.False } => false,
        _ => throw Wrong(name, "a boolean", "invalid_type"),
    };

    /// <summary>Null when the field is absent.</summary>
    public T? Choice<T>(string name)
        where T : struct, Enum
    {
        if (Text(name) is not { } text)
            return null;
        foreach (var value in Enum.GetValues<T>())
            if (Word(value) == text)
                return value;
        throw Wrong(name, "one of " + string.Join(", ", Enum.GetValues<T>().Select(Word)));
    }

    /// <summary>Null when the field is absent or null.</summary>
    public DateTimeOffset? Time(string name)
    {
        if (Value(name) is not { } value)
            return null;
        return value.ValueKind == JsonValueKind.String && value.TryGetDateTimeOffset(out var at)
            ? at.ToUniversalTime()
            : throw Wrong(name, "a time as in RFC 3339", "invalid_type");
    }

    /// <summary>Null when the field is absent or null.</summary>
    public DateTimeOffset? FutureTime(string name, DateTimeOffset now)
        => Time(name) is not { } at ? null : at > now ? at : throw Wrong(name, "in the future");

    public Guid? Id(string name)
    {
        if (Value(name) is not { } value)
            return null;
        return value.ValueKind == JsonValueKind.String && value.TryGetGuid(out var id) ? id : throw Wrong(name, "a UUID", "invalid_type");
    }

    public static string Word<T>(T value)
        where T : struct, Enum
        => JsonNamingPolicy.SnakeCaseLower.ConvertName(value.ToString());

    private JsonElement? Value(string name)
        => _root.TryGetProperty(name, out var value) && value.ValueKind != JsonValueKind.Null ? value : null;

    private WireException Wrong(string name, string expected, string code = "invalid_value")
        => WireException.BadRequest($"'{_prefix}{name}' must be {expected}.", _prefix + name, code);
}
