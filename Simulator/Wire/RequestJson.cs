using System.Text.Json;

namespace AiAspire.Simulator.Wire;

/// <summary>Reads fields of a request body; what does not fit ends the request with the company's own 400, naming the field.</summary>
internal readonly struct RequestJson(JsonElement element, string path, ICompanyWire wire)
{
    public JsonElement Element { get; } = element;

    /// <summary>Empty for the body itself.</summary>
    public string Path { get; } = path;

    public JsonValueKind Kind => Element.ValueKind;

    public bool IsString => Kind == JsonValueKind.String;

    public bool IsArray => Kind == JsonValueKind.Array;

    public bool IsObject => Kind == JsonValueKind.Object;

    public static JsonDocument Parse(ReadOnlyMemory<byte> body, ICompanyWire wire)
    {
        try
        {
            var document = JsonDocument.Parse(body, new JsonDocumentOptions { MaxDepth = 128 });
            if (document.RootElement.ValueKind == JsonValueKind.Object) return document;
            document.Dispose();
        }
        catch (JsonException)
        {
            throw new ProviderErrorException(wire.MalformedBody());
        }

        throw new ProviderErrorException(wire.MalformedBody());
    }

    /// <summary>False when absent or null: the companies treat both alike.</summary>
    public bool TryGet(string name, out RequestJson value)
    {
        if (!IsObject) throw Invalid("must be an object");
        var found = Element.TryGetProperty(name, out var child) && child.ValueKind != JsonValueKind.Null;
        value = new RequestJson(child, Join(name), wire);
        return found;
    }

    public RequestJson Required(string name)
        => TryGet(name, out var value) ? value : throw new ProviderErrorException(wire.MissingField(Join(name)));

    public string String()
    {
        if (!IsString) throw Invalid("must be a string");
        try
        {
            return Element.GetString()!;
        }
        catch (InvalidOperationException)
        {
            // Half a surrogate pair, written as an escape, is JSON but not text.
            throw Invalid("must be valid Unicode text");
        }
    }

    public string? OptionalString(string name) => TryGet(name, out var value) ? value.String() : null;

    public bool OptionalBool(string name)
        => TryGet(name, out var value)
            && (value.Kind is JsonValueKind.True or JsonValueKind.False ? value.Element.GetBoolean() : throw value.Invalid("must be a boolean"));

    public int? OptionalInt(string name, int min, int max = int.MaxValue)
    {
        if (!TryGet(name, out var value)) return null;
        if (value.Kind != JsonValueKind.Number || !value.Element.TryGetInt32(out var number)) throw value.Invalid("must be an integer");
        if (number < min) throw value.Invalid($"must be at least {min}");
        return number <= max ? number : throw value.Invalid($"must be at most {max}");
    }

    public void CheckNumber(string name, double min, double max)
    {
        if (!TryGet(name, out var value)) return;
        if (value.Kind != JsonValueKind.Number) throw value.Invalid("must be a number");
        if (value.Element.GetDouble() is var number && (number < min || number > max)) throw value.Invalid($"must be between {min} and {max}");
    }

    public IEnumerable<RequestJson> Items()
    {
        if (!IsArray) throw Invalid("must be an array");
        return Enumerate(this, wire);

        static IEnumerable<RequestJson> Enumerate(RequestJson array, ICompanyWire wire)
        {
            var index = 0;
            foreach (var item in array.Element.EnumerateArray()) yield return new RequestJson(item, $"{array.Path}[{index++}]", wire);
        }
    }

    public ProviderErrorException Invalid(string problem) => new(wire.InvalidField(Path, problem));

    private string Join(string name) => Path.Length == 0 ? name : $"{Path}.{name}";
}
