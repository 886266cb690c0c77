using System.Buffers;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace AiAspire.Core.Wire;

/// <summary>OpenAI's error body: <c>{"error":{"message","type","param","code"}}</c>, none of them absent.</summary>
public static class ErrorObject
{
    /// <summary>Read by people at a terminal: quotes and letters of other alphabets stay as they are. It is JSON and declared so, never part of a page.</summary>
    private static readonly JsonWriterOptions Readable = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>The provider's own error when it is one, so that the caller sees its message and code; else ours.</summary>
    public static ReadOnlyMemory<byte> BodyOf(WireException exception)
    {
        if (IsErrorObject(exception.UpstreamBody))
            return exception.UpstreamBody;
        var buffer = new ArrayBufferWriter<byte>(256);
        using (var writer = new Utf8JsonWriter(buffer, Readable))
        {
            writer.WriteStartObject();
            writer.WriteStartObject("error"u8);
            writer.WriteString("message"u8, exception.Message);
            writer.WriteString("type"u8, exception.Type);
            writer.WriteString("param"u8, exception.Param);
            writer.WriteString("code"u8, exception.Code);
            writer.WriteEndObject();
            writer.WriteEndObject();
        }

        return buffer.WrittenMemory;
    }

    private static bool IsErrorObject(ReadOnlyMemory<byte> json)
    {
        if (json.IsEmpty)
            return false;
        try
        {
            using var document = JsonDocument.Parse(json);
            return document.RootElement.ValueKind == JsonValueKind.Object
                && document.RootElement.TryGetProperty("error", out var error)
                && error.ValueKind == JsonValueKind.Object
                && error.TryGetProperty("message", out _)
                && error.TryGetProperty("type", out _)
                && error.TryGetProperty("param", out _)
                && error.TryGetProperty("code", out _);
        }
        catch (JsonException)
        {
            return false;
        }
    }
}
