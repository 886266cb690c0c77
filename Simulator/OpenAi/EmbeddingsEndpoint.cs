using System.Runtime.InteropServices;
using System.Text.Json;
using AiAspire.Simulator.Generation;
using AiAspire.Simulator.Models;
using AiAspire.Simulator.Tokens;
using AiAspire.Simulator.Wire;

namespace AiAspire.Simulator.OpenAi;

/// <summary><c>POST /v1/embeddings</c>: text, texts, or token ids; numbers or base64 of little-endian 32-bit floats.</summary>
internal sealed class EmbeddingsEndpoint(ICompanyWire wire, TokenCounter tokens)
{
    private const int MaxInputs = 2048;

    public async Task AnswerAsync(ProviderCall call)
    {
        using var document = RequestJson.Parse(call.Body, wire);
        var body = new RequestJson(document.RootElement, "", wire);
        var model = call.ResolveModel(body.Required("model").String());
        if (model.Kind != ModelKind.Embedding) throw body.Required("model").Invalid("is not an embedding model");
        var texts = ReadInput(body.Required("input"));
        var dimensions = body.OptionalInt("dimensions", 1, HashedEmbedding.DefaultDimensions) ?? HashedEmbedding.DefaultDimensions;
        var base64 = ReadEncoding(body);
        var promptTokens = CountTokens(texts, model);
        await call.AdmitAsync(promptTokens);
        call.Prompt = new TokenUsage(promptTokens, 0, 0, 0, 0);
        await call.WaitForFirstByteAsync();

        await ReplySender.SendCompletedAsync(call, json => Write(json, model.Id, texts, dimensions, base64, call.State.Behaviour.Report(call.Used)));
    }

    private List<string> ReadInput(RequestJson input)
    {
        if (input.IsString) return [NotEmpty(input)];
        if (!input.IsArray) throw input.Invalid("must be a string, an array of strings, or arrays of tokens");
        var length = input.Element.GetArrayLength();
        if (length == 0) throw input.Invalid("must not be empty");
        if (input.Element[0].ValueKind == JsonValueKind.Number) return [FromTokens(input)];
        if (length > MaxInputs) throw input.Invalid($"must hold at most {MaxInputs} items");
        return [.. input.Items().Select(item => item.IsArray ? FromTokens(item) : NotEmpty(item))];
    }

    private static string NotEmpty(RequestJson item) => item.String() is { Length: > 0 } text ? text : throw item.Invalid("must not be an empty string");

    /// <summary>Token ids mean their text, so that both ways of asking get the same vector.</summary>
    private string FromTokens(RequestJson item)
    {
        var ids = new List<int>();
        foreach (var id in item.Element.EnumerateArray())
        {
            if (id.ValueKind != JsonValueKind.Number || !id.TryGetInt32(out var number)) throw item.Invalid("must hold token numbers");
            ids.Add(number);
        }

        if (ids.Count == 0) throw item.Invalid("must not be empty");
        return tokens.Decode(ids) ?? throw item.Invalid("holds a number that is not a token");
    }

    private static bool ReadEncoding(RequestJson body)
        => body.TryGet("encoding_format", out var format)
            && (format.String() switch
            {
                "float" => false,
                "base64" => true,
                _ => throw format.Invalid("must be float or base64"),
            });

    private int CountTokens(List<string> texts, SimulatedModel model)
    {
        var total = 0;
        foreach (var text in texts)
        {
            var count = tokens.Count(text);
            if (count > model.ContextTokens)
                throw new ProviderErrorException(new ProviderError(
                    400, "invalid_request_error",
                    $"This model's maximum context length is {model.ContextTokens} tokens, however you requested {count} tokens.", "input"));
            total += count;
        }

        return total;
    }

    private static void Write(Utf8JsonWriter json, string model, List<string> texts, int dimensions, bool base64, TokenUsage? usage)
    {
        json.WriteStartObject();
        json.WriteString("object"u8, "list"u8);
        json.WriteStartArray("data"u8);
        foreach (var (index, text) in texts.Index())
        {
            json.WriteStartObject();
            json.WriteString("object"u8, "embedding"u8);
            json.WriteNumber("index"u8, index);
            WriteVector(json, HashedEmbedding.Of(text, dimensions), base64);
            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteString("model"u8, model);
        if (usage is { } tokens)
        {
            json.WriteStartObject("usage"u8);
            json.WriteNumber("prompt_tokens"u8, tokens.Prompt);
            json.WriteNumber("total_tokens"u8, tokens.Prompt);
            json.WriteEndObject();
        }

        json.WriteEndObject();
    }

    private static void WriteVector(Utf8JsonWriter json, float[] vector, bool base64)
    {
        if (base64)
        {
            json.WriteBase64String("embedding"u8, MemoryMarshal.AsBytes(vector.AsSpan()));
            return;
        }

        json.WriteStartArray("embedding"u8);
        foreach (var value in vector) json.WriteNumberValue(value);
        json.WriteEndArray();
    }
}
