using System.Buffers;
using System.Text.Json;
using AiAspire.Core.Wire;

namespace AiAspire.Core.Batches;

/// <summary>
/// A line of a batch's output or error file:
/// <code>{"id":"batch_req_…","custom_id":"request-1","response":{"status_code":200,"request_id":"…","body":{…}},"error":null}</code>
/// A request that was made has a response, also one that was refused; what was never made has an error instead:
/// <code>{"id":"batch_req_…","custom_id":"request-1","response":null,"error":{"code":"batch_expired","message":"…"}}</code>
/// </summary>
public static class BatchResult
{
    /// <param name="customId">The line's own name for itself.</param>
    /// <param name="requestId">The request's id, as in the ledger.</param>
    /// <param name="body">The reply, UTF-8 JSON.</param>
    public static byte[] Answered(string customId, Guid requestId, ReadOnlyMemory<byte> body) => Response(customId, requestId, 200, body);

    /// <summary>The same error body that a live call would have got.</summary>
    public static byte[] Refused(string customId, Guid requestId, WireException refusal) => Response(customId, requestId, refusal.Status, ErrorObject.BodyOf(refusal));

    public static byte[] NotMade(string? customId, Guid requestId, string code, string message) => Write(writer =>
    {
        WriteIds(writer, customId, requestId);
        writer.WriteNull("response"u8);
        writer.WriteStartObject("error"u8);
        writer.WriteString("code"u8, code);
        writer.WriteString("message"u8, message);
        writer.WriteEndObject();
    });

    /// <summary>For a line that is no request; its message names the line, which may have no other name.</summary>
    public static byte[] Faulty(BatchLine line, Guid requestId) => NotMade(line.CustomId, requestId, line.Fault!.Code, $"Line {line.Fault.Line}: {line.Fault.Message}");

    private static byte[] Response(string customId, Guid requestId, int status, ReadOnlyMemory<byte> body) => Write(writer =>
    {
        WriteIds(writer, customId, requestId);
        writer.WriteStartObject("response"u8);
        writer.WriteNumber("status_code"u8, status);
        writer.WriteString("request_id"u8, requestId);
        writer.WritePropertyName("body"u8);
        WriteInOneLine(writer, body);
        writer.WriteEndObject();
        writer.WriteNull("error"u8);
    });

    /// <summary>A provider may break its JSON into lines, and ours is to be one.</summary>
    private static void WriteInOneLine(Utf8JsonWriter writer, ReadOnlyMemory<byte> json)
    {
        if (json.Span.IndexOfAny((byte)'\n', (byte)'\r') < 0)
        {
            writer.WriteRawValue(json.Span, skipInputValidation: true);
            return;
        }

        using var document = JsonDocument.Parse(json);
        document.RootElement.WriteTo(writer);
    }

    private static void WriteIds(Utf8JsonWriter writer, string? customId, Guid requestId)
    {
        writer.WriteString("id"u8, $"batch_req_{requestId:N}");
        writer.WriteString("custom_id"u8, customId);
    }

    private static byte[] Write(Action<Utf8JsonWriter> write)
    {
        var buffer = new ArrayBufferWriter<byte>(512);
        using (var writer = new Utf8JsonWriter(buffer))
        {
            writer.WriteStartObject();
            write(writer);
            writer.WriteEndObject();
        }

        buffer.Write("\n"u8);
        return buffer.WrittenSpan.ToArray();
    }
}
