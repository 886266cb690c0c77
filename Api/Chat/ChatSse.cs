using System.Buffers;
using System.Text.Json;
using AiAspire.Core.Wire;

namespace AiAspire.Api.Chat;

/// <summary>Server-sent events as OpenAI frames them: <c>data: {json}</c>, a blank line, and <c>data: [DONE]</c> at the end.</summary>
internal static class ChatSse
{
    /// <summary>
    /// Usage is always asked of the provider; who did not ask for it must not see it. Who did finds it null in every chunk but the last
    /// (OpenAI API reference, <c>stream_options.include_usage</c>), also where the provider leaves it out.
    /// </summary>
    /// <returns>False when nothing was written.</returns>
    public static bool WriteEvent(IBufferWriter<byte> target, ChatEvent chatEvent, bool includeUsage)
    {
        var json = chatEvent.Json.Span;
        if (chatEvent.Kind == ChatEventKind.UsageChunk && !includeUsage)
            return false;
        var (start, end) = FindUsage(json);
        if (includeUsage)
        {
            if (end > 0)
                WriteData(target, json);
            else
                WriteWithNoUsage(target, json);
            return true;
        }

        target.Write("data: "u8);
        target.Write(json[..start]);
        target.Write(json[end..]);
        target.Write("\n\n"u8);
        return true;
    }

    /// <summary>
    /// The bytes of the event's own field <c>usage</c> with one comma, so that the rest is JSON without them; nothing when it has none.
    /// Fields of that name further in are the provider's business.
    /// </summary>
    private static (int Start, int End) FindUsage(ReadOnlySpan<byte> json)
    {
        if (json.IndexOf("\"usage\""u8) < 0)
            return default;
        var reader = new Utf8JsonReader(json);
        reader.Read();
        var before = (int)reader.BytesConsumed;
        var first = true;
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var found = reader.ValueTextEquals("usage"u8);
            reader.Read();
            reader.Skip();
            var after = (int)reader.BytesConsumed;
            if (found)
                return first && json[after..].TrimStart(" \t\r\n"u8) is [(byte)',', ..] rest ? (before, json.Length - rest.Length + 1) : (before, after);
            (before, first) = (after, false);
        }

        return default;
    }

    public static void WriteDone(IBufferWriter<byte> target) => target.Write("data: [DONE]\n\n"u8);

    public static void WriteError(IBufferWriter<byte> target, WireException exception) => WriteData(target, ErrorObject.BodyOf(exception).Span);

    private static void WriteWithNoUsage(IBufferWriter<byte> target, ReadOnlySpan<byte> json)
    {
        target.Write("data: "u8);
        target.Write(json[..json.LastIndexOf((byte)'}')]);
        target.Write(",\"usage\":null}\n\n"u8);
    }

    private static void WriteData(IBufferWriter<byte> target, ReadOnlySpan<byte> json)
    {
        target.Write("data: "u8);
        target.Write(json);
        target.Write("\n\n"u8);
    }
}
