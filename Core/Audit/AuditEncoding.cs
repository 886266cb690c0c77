using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;

namespace AiAspire.Core.Audit;

/// <summary>
/// The bytes that an entry's hash is over: a version byte, then every field in turn as a 32-bit big-endian length and its bytes
/// (length −1 for null), so that no two entries share an encoding. Numbers are 64-bit big-endian, times are microseconds since 1970,
/// ids are their 16 bytes in the order they are written. The function <c>append_audit</c> writes the same in SQL.
/// </summary>
internal static class AuditEncoding
{
    public const int HashBytes = 32;
    private const byte Version = 1;
    private const int NullLength = -1;

    public static byte[] Hash(AuditEntry entry) => SHA256.HashData(Encode(entry));

    public static byte[] Encode(AuditEntry entry)
    {
        using var bytes = new MemoryStream();
        bytes.WriteByte(Version);
        Write(bytes, entry.TenantId);
        Write(bytes, entry.Sequence);
        Write(bytes, entry.EntryId);
        Write(bytes, Microseconds(entry.At));
        Write(bytes, entry.ActorKind);
        Write(bytes, entry.ActorId);
        Write(bytes, entry.Action);
        Write(bytes, entry.TargetKind);
        Write(bytes, entry.TargetId);
        Write(bytes, entry.RequestId);
        Write(bytes, entry.Details);
        WriteField(bytes, entry.PrevHash);
        return bytes.ToArray();
    }

    public static long Microseconds(DateTimeOffset at) => (at.UtcTicks - DateTimeOffset.UnixEpoch.Ticks) / TimeSpan.TicksPerMicrosecond;

    private static void Write(Stream bytes, long value)
    {
        Span<byte> eight = stackalloc byte[sizeof(long)];
        BinaryPrimitives.WriteInt64BigEndian(eight, value);
        WriteField(bytes, eight);
    }

    private static void Write(Stream bytes, Guid? value)
    {
        if (value is { } id)
            WriteField(bytes, id.ToByteArray(bigEndian: true));
        else
            WriteLength(bytes, NullLength);
    }

    private static void Write(Stream bytes, string? value)
    {
        if (value is not null)
            WriteField(bytes, Encoding.UTF8.GetBytes(value));
        else
            WriteLength(bytes, NullLength);
    }

    private static void WriteField(Stream bytes, ReadOnlySpan<byte> value)
    {
        WriteLength(bytes, value.Length);
        bytes.Write(value);
    }

    private static void WriteLength(Stream bytes, int length)
    {
        Span<byte> four = stackalloc byte[sizeof(int)];
        BinaryPrimitives.WriteInt32BigEndian(four, length);
        bytes.Write(four);
    }
}
