using System.Buffers;
using System.Buffers.Binary;
using System.Text.Json;

namespace AiAspire.Core.Wire;

/// <summary>
/// The reply to a request for embeddings, in either encoding:
/// <code>{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.1,…]}],"model":"…","usage":{"prompt_tokens":5,"total_tokens":5}}</code>
/// with <c>"embedding":"zczMPQ…"</c> for base64. A vector is kept as base64 has it: 32-bit floats, little endian.
/// </summary>
public static class EmbeddingReply
{
    /// <summary>Reads the vectors, in the order of their index.</summary>
    /// <returns>Null when there are not as many as asked for, or one is no vector of numbers.</returns>
    public static (string Model, byte[][] Vectors)? Read(ReadOnlyMemory<byte> json, int items)
    {
        var root = JsonElement.Parse(json.Span);
        if (!root.TryGetProperty("data"u8, out var data) || data.ValueKind != JsonValueKind.Array || data.GetArrayLength() != items)
            return null;
        var vectors = new byte[items][];
        foreach (var (i, item) in data.EnumerateArray().Index())
        {
            var index = item.TryGetProperty("index"u8, out var named) && named.ValueKind == JsonValueKind.Number && named.TryGetInt32(out var number) ? number : i;
            if (index < 0 || index >= items || vectors[index] is not null || !item.TryGetProperty("embedding"u8, out var embedding) || ReadVector(embedding) is not { } vector)
                return null;
            vectors[index] = vector;
        }

        var model = root.TryGetProperty("model"u8, out var name) && name.ValueKind == JsonValueKind.String ? name.GetString()! : "";
        return (model, vectors);
    }

    /// <param name="vectors">In the order of the input.</param>
    /// <param name="model">As the provider names it.</param>
    /// <param name="base64">The encoding.</param>
    /// <param name="tokens">Input tokens that a provider was sent for it.</param>
    public static ReadOnlyMemory<byte> Write(IReadOnlyList<byte[]> vectors, string model, bool base64, long tokens)
    {
        var buffer = new ArrayBufferWriter<byte>(1024);
        using (var writer = new Utf8JsonWriter(buffer))
        {
            BeginList(writer);
            for (var i = 0; i < vectors.Count; i++)
            {
                BeginItem(writer, i);
                if (base64)
                    writer.WriteBase64String("embedding"u8, vectors[i]);
                else
                    WriteNumbers(writer, vectors[i]);
                writer.WriteEndObject();
            }

            EndList(writer, model, tokens);
        }

        return buffer.WrittenMemory;
    }

    /// <summary>Up to the first item.</summary>
    internal static void BeginList(Utf8JsonWriter writer)
    {
        writer.WriteStartObject();
        writer.WriteString("object"u8, "list"u8);
        writer.WriteStartArray("data"u8);
    }

    /// <summary>An item up to its vector, after which its object is to be ended.</summary>
    internal static void BeginItem(Utf8JsonWriter writer, int index)
    {
        writer.WriteStartObject();
        writer.WriteString("object"u8, "embedding"u8);
        writer.WriteNumber("index"u8, index);
    }

    /// <summary>What follows the last item.</summary>
    internal static void EndList(Utf8JsonWriter writer, string? model, long tokens)
    {
        writer.WriteEndArray();
        writer.WriteString("model"u8, model);
        writer.WriteStartObject("usage"u8);
        writer.WriteNumber("prompt_tokens"u8, tokens);
        writer.WriteNumber("total_tokens"u8, tokens);
        writer.WriteEndObject();
        writer.WriteEndObject();
    }

    private static void WriteNumbers(Utf8JsonWriter writer, byte[] vector)
    {
        writer.WriteStartArray("embedding"u8);
        for (var at = 0; at < vector.Length; at += sizeof(float))
            writer.WriteNumberValue(BinaryPrimitives.ReadSingleLittleEndian(vector.AsSpan(at)));
        writer.WriteEndArray();
    }

    private static byte[]? ReadVector(JsonElement embedding)
    {
        if (embedding.ValueKind == JsonValueKind.String)
            return embedding.TryGetBytesFromBase64(out var bytes) && bytes.Length > 0 && bytes.Length % sizeof(float) == 0 && IsFinite(bytes) ? bytes : null;
        if (embedding.ValueKind != JsonValueKind.Array || embedding.GetArrayLength() == 0)
            return null;
        var vector = new byte[embedding.GetArrayLength() * sizeof(float)];
        foreach (var (i, number) in embedding.EnumerateArray().Index())
        {
            if (number.ValueKind != JsonValueKind.Number || !number.TryGetSingle(out var value) || !float.IsFinite(value))
                return null;
            BinaryPrimitives.WriteSingleLittleEndian(vector.AsSpan(i * sizeof(float)), value);
        }

        return vector;
    }

    private static bool IsFinite(byte[] vector)
    {
        for (var at = 0; at < vector.Length; at += sizeof(float))
        {
            if (!float.IsFinite(BinaryPrimitives.ReadSingleLittleEndian(vector.AsSpan(at))))
                return false;
        }

        return true;
    }
}
