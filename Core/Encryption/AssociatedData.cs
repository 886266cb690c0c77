using System.Buffers.Binary;
using System.Text;

namespace AiAspire.Core.Encryption;

/// <summary>
/// The bytes that bind a ciphertext to its place: tenant, table, column, row. Fixed-length ids and a length before each name keep
/// two different places from having the same bytes.
/// </summary>
internal static class AssociatedData
{
    public const int MaxBytes = 168;
    private const int MaxNameBytes = 63;

    public static int Write(Span<byte> target, Guid tenantId, ContentPlace place)
    {
        tenantId.TryWriteBytes(target, bigEndian: true, out _);
        place.RowId.TryWriteBytes(target[16..], bigEndian: true, out _);
        var length = 32;
        length += WriteName(target[length..], place.Table);
        length += WriteName(target[length..], place.Column);
        return length;
    }

    /// <summary>The place of a wrapped key in the key store: the row is a tenant's or a user's id and the version of the key in it.</summary>
    public static byte[] OfKey(Guid tenantId, string table, Guid ownerId, int keyVersion)
    {
        var bytes = new byte[MaxBytes];
        var length = Write(bytes, tenantId, new ContentPlace(table, "wrapped_key", ownerId));
        BinaryPrimitives.WriteInt32BigEndian(bytes.AsSpan(length), keyVersion);
        return bytes[..(length + sizeof(int))];
    }

    private static int WriteName(Span<byte> target, string name)
    {
        var length = Encoding.UTF8.GetByteCount(name);
        if (length > MaxNameBytes)
            throw new ArgumentException($"'{name}' is longer than a PostgreSQL identifier ({MaxNameBytes} bytes).", nameof(name));
        target[0] = (byte)length;
        Encoding.UTF8.GetBytes(name, target[1..]);
        return length + 1;
    }
}
