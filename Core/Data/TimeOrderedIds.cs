using System.Buffers.Binary;

namespace AiAspire.Core.Data;

/// <summary>UUIDs whose first 48 bits are the Unix time in milliseconds (RFC 9562 §5.7), so that ids sort and partition by time.</summary>
public static class TimeOrderedIds
{
    /// <summary>A new UUIDv7 at the provider's time.</summary>
    public static Guid NewId(this TimeProvider time) => Guid.CreateVersion7(time.GetUtcNow());

    /// <summary>The time inside a UUIDv7, to the millisecond.</summary>
    public static DateTimeOffset TimeOf(Guid id)
    {
        Span<byte> bytes = stackalloc byte[16];
        id.TryWriteBytes(bytes, bigEndian: true, out _);
        var milliseconds = BinaryPrimitives.ReadInt64BigEndian(bytes) >> 16;
        return DateTimeOffset.FromUnixTimeMilliseconds(milliseconds);
    }
}
