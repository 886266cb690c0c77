using System.Buffers;
using System.Runtime.InteropServices;
using System.Text.Json;
using AiAspire.Core.Models;

namespace AiAspire.Core.Wire;

/// <summary>A request for embeddings (OpenAI API reference, "Create embeddings"). It has no output tokens.</summary>
public sealed class EmbeddingRequest : ModelRequest
{
    /// <summary>OpenAI's limit, which others keep.</summary>
    public const int MaxInputs = 2048;

    private EmbeddingRequest(JsonDocument document)
        : base(document)
    {
    }

    public override ModelKind Kind => ModelKind.Embedding;

    public override string Path => "embeddings";

    /// <summary>A text or a token array, or an array of texts or of token arrays.</summary>
    public required JsonElement Input { get; init; }

    /// <summary>How many vectors were asked for.</summary>
    public required int Items { get; init; }

    /// <summary>Whether the caller wants the vectors as base64, and not as numbers.</summary>
    public bool Base64 { get; private init; }

    /// <summary>What is to be embedded, item by item: texts or token arrays.</summary>
    public IReadOnlyList<JsonElement> Each => Input.ValueKind == JsonValueKind.Array && Input[0].ValueKind != JsonValueKind.Number ? [.. Input.EnumerateArray()] : [Input];

    /// <summary>The same request for some of the items alone.</summary>
    /// <param name="items">Their places.</param>
    public EmbeddingRequest Only(IReadOnlyList<int> items)
    {
        var body = new ArrayBufferWriter<byte>(Bytes);
        var each = Each;
        using (var writer = new Utf8JsonWriter(body, new JsonWriterOptions { SkipValidation = true }))
        {
            writer.WriteStartObject();
            foreach (var property in Json.EnumerateObject())
            {
                if (!property.NameEquals("input"u8))
                    WriteAsItCame(writer, property);
            }

            writer.WriteStartArray("input"u8);
            foreach (var item in items)
                writer.WriteRawValue(JsonMarshal.GetRawUtf8Value(each[item]), skipInputValidation: true);
            writer.WriteEndArray();
            writer.WriteEndObject();
        }

        return Parse(body.WrittenMemory);
    }

    /// <exception cref="WireException">400, naming the field at fault.</exception>
    public static EmbeddingRequest Parse(ReadOnlyMemory<byte> body) => Read(body, "`model` and `input`", document =>
    {
        var root = document.RootElement;
        var field = new RequestFields(root);
        var model = RequiredModel(field);
        var input = Required(root, "input");
        var items = CountItems(input);
        var format = field.String("encoding_format");
        if (format is not (null or "float" or "base64"))
            throw WireException.BadRequest($"'{format}' is not an encoding_format: use float or base64.", "encoding_format", "invalid_value");
        field.Integer("dimensions", 1, int.MaxValue);
        return new EmbeddingRequest(document) { Model = model, Input = input, Items = items, Base64 = format == "base64", User = field.String("user"), Bytes = body.Length };
    });

    public override long EstimateInput() => TokenCounter.EstimateTexts(Input);

    public override long CountInput(TokenCounter tokens) => tokens.CountTexts(Input);

    /// <summary>A vector too few or too many would go to the wrong text.</summary>
    public override ReplyTally NewTally() => new(ReplyList.Data, Items);

    private static int CountItems(JsonElement input)
    {
        if (input.ValueKind == JsonValueKind.String)
        {
            CheckText(input, "input");
            return 1;
        }

        if (input.ValueKind != JsonValueKind.Array)
            throw WrongType();
        var count = input.GetArrayLength();
        if (count == 0)
            throw WireException.BadRequest("'input' is empty: it needs at least one text or token.", "input", "empty_array");
        var kind = input[0].ValueKind;
        if (kind == JsonValueKind.Number)
        {
            CheckTokens(input, "input");
            return 1;
        }

        if (kind is not (JsonValueKind.String or JsonValueKind.Array))
            throw WrongType();
        if (count > MaxInputs)
            throw WireException.BadRequest($"'input' has {count} items, and one request takes at most {MaxInputs}. Send the rest in another.", "input", "array_above_max_length");
        var i = 0;
        foreach (var item in input.EnumerateArray())
        {
            var path = $"input[{i++}]";
            if (item.ValueKind != kind)
                throw WireException.BadRequest($"'{path}' is of another kind than the items before it: send texts or token arrays, not both.", path, "invalid_type");
            if (kind == JsonValueKind.String)
                CheckText(item, path);
            else
                CheckTokens(item, path);
        }

        return count;
    }

    private static void CheckText(JsonElement text, string path)
    {
        if (text.ValueEquals(""u8))
            throw WireException.BadRequest($"'{path}' is an empty string, which has no embedding: leave it out or give it some text.", path, "empty_string");
    }

    private static void CheckTokens(JsonElement tokens, string path)
    {
        if (tokens.GetArrayLength() == 0)
            throw WireException.BadRequest($"'{path}' is an empty token array, which has no embedding.", path, "empty_array");
        foreach (var token in tokens.EnumerateArray())
        {
            if (token.ValueKind != JsonValueKind.Number || !token.TryGetInt32(out var number) || number < 0)
                throw WireException.BadRequest($"'{path}' must hold token numbers only, integers from 0.", path, "invalid_type");
        }
    }

    private static WireException WrongType()
        => WireException.BadRequest("'input' must be a string, an array of strings, a token array, or an array of token arrays.", "input", "invalid_type");
}
