using System.Text.Json;

namespace AiAspire.Simulator.Replies;

/// <summary>
/// Makes a value that fits a JSON schema (the subset that the companies accept for structured output): always the same for
/// the same schema and salt. Salt 0 is the right answer, another salt a wrong one that still fits.
/// </summary>
internal sealed class SchemaInstance
{
    /// <summary>Recursive schemas end here: optional parts are left out, unions take their plainest branch.</summary>
    private const int ComfortableDepth = 6;
    private const int MaxDepth = 40;

    private readonly JsonElement _root;
    private readonly int _salt;

    private SchemaInstance(JsonElement root, int salt)
    {
        _root = root;
        _salt = salt;
    }

    /// <param name="schema">May be undefined: then the value is an empty object.</param>
    public static string Of(JsonElement schema, int salt = 0) => CompactJson.Write(writer =>
    {
        if (schema.ValueKind == JsonValueKind.Object) new SchemaInstance(schema, salt).Write(writer, schema, "value", 0);
        else writer.WriteRawValue("{}");
    });

    private void Write(Utf8JsonWriter writer, JsonElement given, string name, int depth)
    {
        var schema = Resolve(given);
        if (schema.ValueKind != JsonValueKind.Object || depth > MaxDepth)
        {
            writer.WriteStringValue(SampleText.For(name, _salt));
            return;
        }

        if (schema.TryGetProperty("const", out var constant)) constant.WriteTo(writer);
        else if (schema.TryGetProperty("enum", out var values) && values.ValueKind == JsonValueKind.Array && values.GetArrayLength() > 0)
            values[_salt % values.GetArrayLength()].WriteTo(writer);
        else if (Branches(schema) is { } branches) Write(writer, Choose(branches, depth), name, depth + 1);
        else WriteTyped(writer, schema, TypeOf(schema), name, depth);
    }

    private void WriteTyped(Utf8JsonWriter writer, JsonElement schema, string type, string name, int depth)
    {
        switch (type)
        {
            case "object":
                WriteObject(writer, schema, depth);
                break;
            case "array":
                WriteArray(writer, schema, name, depth);
                break;
            case "integer":
                writer.WriteNumberValue((long)Number(schema, whole: true));
                break;
            case "number":
                writer.WriteNumberValue(Number(schema, whole: false));
                break;
            case "boolean":
                writer.WriteBooleanValue(_salt % 2 == 0);
                break;
            case "null":
                writer.WriteNullValue();
                break;
            default:
                writer.WriteStringValue(SampleText.For(name, schema, _salt));
                break;
        }
    }

    private void WriteObject(Utf8JsonWriter writer, JsonElement schema, int depth)
    {
        var required = schema.TryGetProperty("required", out var names) && names.ValueKind == JsonValueKind.Array
            ? names.EnumerateArray().Where(n => n.ValueKind == JsonValueKind.String).Select(n => n.GetString()!).ToHashSet(StringComparer.Ordinal)
            : [];
        writer.WriteStartObject();
        if (schema.TryGetProperty("properties", out var properties) && properties.ValueKind == JsonValueKind.Object)
        {
            foreach (var property in properties.EnumerateObject())
            {
                if (depth > ComfortableDepth && !required.Contains(property.Name)) continue;
                writer.WritePropertyName(property.Name);
                Write(writer, property.Value, property.Name, depth + 1);
            }
        }

        writer.WriteEndObject();
    }

    private void WriteArray(Utf8JsonWriter writer, JsonElement schema, string name, int depth)
    {
        var min = Count(schema, "minItems") ?? 0;
        var max = Count(schema, "maxItems") ?? int.MaxValue;
        // One item says more than none; a recursive schema must end.
        var length = Math.Min(max, Math.Max(min, depth > ComfortableDepth ? 0 : 1));
        writer.WriteStartArray();
        if (schema.TryGetProperty("items", out var items))
            for (var i = 0; i < Math.Min(length, 10_000); i++)
                Write(writer, items, name, depth + 1);
        writer.WriteEndArray();
    }

    /// <summary>The smallest number that fits and is not below 1, moved on by the salt when there is room.</summary>
    private double Number(JsonElement schema, bool whole)
    {
        var step = Bound(schema, "multipleOf") is { } multiple and > 0 ? multiple : whole ? 1 : 0.5;
        var min = Bound(schema, "minimum") ?? double.NegativeInfinity;
        var max = Bound(schema, "maximum") ?? double.PositiveInfinity;
        if (Bound(schema, "exclusiveMinimum") is { } above) min = Math.Max(min, above + (whole ? 1 : step));
        if (Bound(schema, "exclusiveMaximum") is { } below) max = Math.Min(max, below - (whole ? 1 : step));
        var start = Math.Max(min, Math.Min(max, 1));
        var value = Math.Ceiling(start / step) * step;
        if (value > max) value = Math.Floor(max / step) * step;
        var moved = value + (_salt * step);
        if (moved <= max) return moved;
        return value - (_salt * step) >= min ? value - (_salt * step) : value;
    }

    private JsonElement Resolve(JsonElement schema)
    {
        for (var hops = 0; hops < MaxDepth; hops++)
        {
            if (schema.ValueKind != JsonValueKind.Object || !schema.TryGetProperty("$ref", out var reference)) return schema;
            if (reference.ValueKind != JsonValueKind.String) return default;
            schema = Follow(reference.GetString()!);
        }

        return default;
    }

    /// <summary>A JSON pointer into the same schema (RFC 6901): <c>#/$defs/step</c>.</summary>
    private JsonElement Follow(string reference)
    {
        var at = _root;
        foreach (var part in reference.TrimStart('#').Split('/', StringSplitOptions.RemoveEmptyEntries))
        {
            var key = part.Replace("~1", "/", StringComparison.Ordinal).Replace("~0", "~", StringComparison.Ordinal);
            if (at.ValueKind != JsonValueKind.Object || !at.TryGetProperty(key, out at)) return default;
        }

        return at;
    }

    private static JsonElement? Branches(JsonElement schema)
    {
        foreach (var word in (ReadOnlySpan<string>)["anyOf", "oneOf", "allOf"])
            if (schema.TryGetProperty(word, out var branches) && branches.ValueKind == JsonValueKind.Array && branches.GetArrayLength() > 0)
                return branches;
        return null;
    }

    private JsonElement Choose(JsonElement branches, int depth)
    {
        if (depth <= ComfortableDepth) return branches[0];
        foreach (var branch in branches.EnumerateArray())
            if (Resolve(branch) is { ValueKind: JsonValueKind.Object } schema && Branches(schema) is null && TypeOf(schema) is not ("object" or "array"))
                return branch;
        return branches[branches.GetArrayLength() - 1];
    }

    private static string TypeOf(JsonElement schema)
    {
        if (schema.TryGetProperty("type", out var type))
        {
            if (type.ValueKind == JsonValueKind.String) return type.GetString()!;
            if (type.ValueKind == JsonValueKind.Array)
                foreach (var one in type.EnumerateArray())
                    if (one.ValueKind == JsonValueKind.String && !one.ValueEquals("null"))
                        return one.GetString()!;
        }

        return schema.TryGetProperty("properties", out _) ? "object" : schema.TryGetProperty("items", out _) ? "array" : "string";
    }

    private static double? Bound(JsonElement schema, string name)
        => schema.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.Number ? value.GetDouble() : null;

    private static int? Count(JsonElement schema, string name)
        => schema.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out var count) ? count : null;
}
