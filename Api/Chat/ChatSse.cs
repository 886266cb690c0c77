using System.Buffers;
using AiAspire.Api.Errors;
using AiAspire.Core.Wire;

namespace AiAspire.Api.Chat;

/// <summary>Server-sent events as OpenAI frames them: <c>data: {json}</c>, a blank line, and <c>data: [DONE]</c> at the end.</summary>
internal static class ChatSse
{
    /// <summary>Usage is always asked of the provider; who did not ask for it must not see it.</summary>
    /// <returns>False when nothing was written.</returns>
    public static bool WriteEvent(IBufferWriter<byte> target, ChatEvent chatEvent, bool includeUsage)
    {
        var json = chatEvent.Json.Span;
        if (includeUsage)
        {
            WriteData(target, json);
            return true;
        }

        if (chatEvent.Kind == ChatEventKind.UsageChunk)
            return false;
        // Unescaped quotes cannot stand inside a JSON string, so these bytes can only be the field itself.
        var usage = json.IndexOf(",\"usage\":null"u8);
        if (usage < 0)
        {
            WriteData(target, json);
        }
        else
        {
            target.Write("data: "u8);
            target.Write(json[..usage]);
            target.Write(json[(usage + ",\"usage\":null"u8.Length)..]);
            target.Write("\n\n"u8);
        }

        return true;
    }

    public static void WriteDone(IBufferWriter<byte> target) => target.Write("data: [DONE]\n\n"u8);

    public static void WriteError(IBufferWriter<byte> target, WireException exception) => WriteData(target, ErrorWriter.BodyOf(exception).Span);

    private static void WriteData(IBufferWriter<byte> target, ReadOnlySpan<byte> json)
    {
        target.Write("data: "u8);
        target.Write(json);
        target.Write("\n\n"u8);
    }
}
