using System.Buffers;
using System.Runtime.InteropServices;
using System.Text.Json;
using AiAspire.Core.Wire;

namespace AiAspire.Core.Chat;

/// <summary>
/// A request for the embeddings of more inputs than one call takes:
/// <code>{"model":"…","inputs":["…","…"],"dimensions":256}</code>
/// Cut into calls the same way each time, so that a repeat knows which of them are done. All other fields go into every call as they came.
/// </summary>
public sealed class EmbeddingSet : IDisposable
{
    public const int MaxInputs = 50_000;

    /// <summary>Inputs of one call: a failed one does not cost much, and progress is seen.</summary>
    public const int CallInputs = 256;

    /// <summary>Bytes of the inputs of one call. No tokenizer makes more tokens than bytes, and providers take 300,000 of them.</summary>
    public const int CallBytes = 200_000;

    private readonly JsonDocument _document;
    private readonly List<(int First, int Count)> _calls = [];
    private readonly List<JsonElement> _inputs;

    private EmbeddingSet(JsonDocument document, JsonElement inputs)
    {
        _document = document;
        _inputs = [.. inputs.EnumerateArray()];
        var (first, bytes) = (0, 0);
        for (var i = 0; i < _inputs.Count; i++)
        {
            var size = JsonMarshal.GetRawUtf8Value(_inputs[i]).Length;
            if (i > first && (i - first == CallInputs || bytes + size > CallBytes))
            {
                _calls.Add((first, i - first));
                (first, bytes) = (i, 0);
            }

            bytes += size;
        }

        _calls.Add((first, _inputs.Count - first));
    }

    /// <summary>How many calls it takes.</summary>
    public int Calls => _calls.Count;

    /// <exception cref="WireException">400, naming the field at fault.</exception>
    public static EmbeddingSet Parse(ReadOnlyMemory<byte> body)
    {
        JsonDocument document;
        try
        {
            document = JsonDocument.Parse(body, new JsonDocumentOptions { AllowDuplicateProperties = false });
        }
        catch (JsonException e)
        {
            throw WireException.BadRequest($"The request is not valid JSON: {e.Message}", "request", "invalid_json");
        }

        try
        {
            return new EmbeddingSet(document, Inputs(document.RootElement));
        }
        catch
        {
            document.Dispose();
            throw;
        }
    }

    /// <summary>The place of a call's first input in the set.</summary>
    public int FirstOf(int call) => _calls[call].First;

    /// <summary>One call, as the wire has it.</summary>
    /// <exception cref="WireException">400, naming the field at fault; of an input, its place in the call.</exception>
    public EmbeddingRequest Request(int call)
    {
        var (first, count) = _calls[call];
        var buffer = new ArrayBufferWriter<byte>();
        using (var writer = new Utf8JsonWriter(buffer))
        {
            writer.WriteStartObject();
            foreach (var property in _document.RootElement.EnumerateObject().Where(p => !p.NameEquals("inputs"u8)))
            {
                writer.WritePropertyName(property.Name);
                writer.WriteRawValue(JsonMarshal.GetRawUtf8Value(property.Value), skipInputValidation: true);
            }

            writer.WriteStartArray("input"u8);
            foreach (var input in _inputs.GetRange(first, count))
                writer.WriteRawValue(JsonMarshal.GetRawUtf8Value(input), skipInputValidation: true);
            writer.WriteEndArray();
            writer.WriteEndObject();
        }

        return EmbeddingRequest.Parse(buffer.WrittenMemory);
    }

    public void Dispose() => _document.Dispose();

    private static JsonElement Inputs(JsonElement root)
    {
        if (root.ValueKind != JsonValueKind.Object || !root.TryGetProperty("inputs", out var inputs))
            throw WireException.BadRequest("Missing required parameter: 'inputs', an array of texts.", "inputs", "missing_required_parameter");
        if (root.TryGetProperty("input", out _))
            throw WireException.BadRequest("Send the texts in 'inputs' alone, without 'input'.", "input", "invalid_value");
        if (inputs.ValueKind != JsonValueKind.Array)
            throw WireException.BadRequest("'inputs' must be an array of texts or of token arrays.", "inputs", "invalid_type");
        return inputs.GetArrayLength() switch
        {
            0 => throw WireException.BadRequest("'inputs' is empty: it needs at least one text.", "inputs", "empty_array"),
            > MaxInputs => throw WireException.BadRequest($"'inputs' has {inputs.GetArrayLength()} items, and a job takes at most {MaxInputs}. Queue the rest as another.", "inputs", "array_above_max_length"),
            _ => inputs,
        };
    }
}
