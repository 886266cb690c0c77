using System.Text;

namespace AiAspire.Core.Encryption;

/// <summary>
/// The bytes that bind a ciphertext to its place: tenant, table, column, row. Fixed-length ids and a length before each name keep
/// two different places from having the same bytes.
/// </summary>
internal static class AssociatedData
{
    public const int MaxBytes = 160;
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
