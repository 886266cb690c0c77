using System.Security.Cryptography;

namespace AiAspire.Core.Encryption;

/// <summary>Where a ciphertext belongs. It is authenticated with it, so a ciphertext copied to another place does not open.</summary>
/// <param name="Table">The table's name.</param>
/// <param name="Column">The column's name.</param>
/// <param name="RowId">The row's id within the tenant.</param>
public readonly record struct ContentPlace(string Table, string Column, Guid RowId);

/// <summary>Encrypts and decrypts the content of one user. Take it from <see cref="UserKeys"/> for each piece of work; do not keep it.</summary>
public sealed class ContentCipher
{
    private readonly byte[] _key;
    private readonly Guid _tenantId;

    internal ContentCipher(Guid tenantId, byte[] key)
    {
        _tenantId = tenantId;
        _key = key;
    }

    public byte[] Encrypt(ReadOnlySpan<byte> plaintext, ContentPlace place)
    {
        Span<byte> associated = stackalloc byte[AssociatedData.MaxBytes];
        return SealedBox.Seal(_key, plaintext, associated[..AssociatedData.Write(associated, _tenantId, place)]);
    }

    /// <exception cref="CryptographicException">Altered, or moved from another place.</exception>
    public byte[] Decrypt(ReadOnlySpan<byte> ciphertext, ContentPlace place)
    {
        Span<byte> associated = stackalloc byte[AssociatedData.MaxBytes];
        return SealedBox.Open(_key, ciphertext, associated[..AssociatedData.Write(associated, _tenantId, place)]);
    }
}
