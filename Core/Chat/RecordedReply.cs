using System.Buffers;
using System.Buffers.Binary;
using AiAspire.Core.Wire;

namespace AiAspire.Core.Chat;

/// <summary>A whole reply, event by event, as bytes for the idempotency store; a stream is replayed as the stream it was.</summary>
public sealed class RecordedReply
{
    private const int HeaderBytes = 16;
    private readonly ArrayBufferWriter<byte> _bytes = new();

    public RecordedReply(Guid? conversationId)
    {
        (conversationId ?? Guid.Empty).TryWriteBytes(_bytes.GetSpan(HeaderBytes));
        _bytes.Advance(HeaderBytes);
    }

    public ReadOnlySpan<byte> Bytes => _bytes.WrittenSpan;

    /// <summary>Layout: kind (1 byte) ‖ length (4 bytes, little endian) ‖ JSON.</summary>
    public void Add(ChatEvent chatEvent)
    {
        var span = _bytes.GetSpan(5 + chatEvent.Json.Length);
        span[0] = (byte)chatEvent.Kind;
        BinaryPrimitives.WriteInt32LittleEndian(span[1..], chatEvent.Json.Length);
        chatEvent.Json.Span.CopyTo(span[5..]);
        _bytes.Advance(5 + chatEvent.Json.Length);
    }

    public static (Guid? ConversationId, IReadOnlyList<ChatEvent> Events) Read(ReadOnlyMemory<byte> bytes)
    {
        var conversation = new Guid(bytes.Span[..HeaderBytes]);
        var events = new List<ChatEvent>();
        for (var rest = bytes[HeaderBytes..]; !rest.IsEmpty;)
        {
            var length = BinaryPrimitives.ReadInt32LittleEndian(rest.Span[1..]);
            events.Add(new ChatEvent((ChatEventKind)rest.Span[0], rest.Slice(5, length)));
            rest = rest[(5 + length)..];
        }

        return (conversation == Guid.Empty ? null : conversation, events);
    }
}
