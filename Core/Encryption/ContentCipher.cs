using System.Security.Cryptography;

namespace AiAspire.Core.Encryption;

/// <summary>Where a ciphertext belongs. It is authenticated with it, so a ciphertext copied to another place does not open.</summary>
/// <param name="Table">The table's name.</param>
/// <param name="Column">The column's name.</param>
/// <param name="RowId">The row's id within the tenant.</param>
public readonly record struct ContentPlace(string Table, string Column, Guid RowId);

/// <summary>One version of a user's content key, unwrapped.</summary>
internal readonly record struct ContentKey(int Version, byte[] Bytes);

/// <summary>
/// Encrypts with the user's current key and decrypts with the version that the ciphertext names. Take it from <see cref="UserKeys"/>
/// for each piece of work; do not keep it: it does not learn of rotation or erasure.
/// </summary>
public sealed class ContentCipher
{
    private readonly Guid _tenantId;
    private readonly ContentKey _current;
    private readonly ContentKey[] _keys;

    /// <param name="tenantId">The tenant whose content it is.</param>
    /// <param name="currentVersion">The version that encrypts; one of <paramref name="keys"/>.</param>
    /// <param name="keys">Every version that may have encrypted something.</param>
    internal ContentCipher(Guid tenantId, int currentVersion, ContentKey[] keys)
    {
        _tenantId = tenantId;
        _keys = keys;
        _current = KeyOf(currentVersion);
    }

    /// <summary>The key version that a ciphertext of this class was made with.</summary>
    /// <exception cref="CryptographicException">It is not a ciphertext of this class.</exception>
    public static int KeyVersionOf(ReadOnlySpan<byte> ciphertext) => SealedBox.KeyVersion(ciphertext);

    public byte[] Encrypt(ReadOnlySpan<byte> plaintext, ContentPlace place)
    {
        Span<byte> associated = stackalloc byte[AssociatedData.MaxBytes];
        return SealedBox.Seal(_current.Bytes, plaintext, associated[..AssociatedData.Write(associated, _tenantId, place)], _current.Version);
    }

    /// <summary>Encrypts many, each for its own place, at less cost than one by one.</summary>
    public byte[][] EncryptAll(IReadOnlyList<ReadOnlyMemory<byte>> plaintexts, Func<int, ContentPlace> place)
    {
        ArgumentNullException.ThrowIfNull(plaintexts);
        ArgumentNullException.ThrowIfNull(place);
        using var sealer = new SealedBox.Sealer(_current.Bytes, _current.Version);
        Span<byte> associated = stackalloc byte[AssociatedData.MaxBytes];
        var boxes = new byte[plaintexts.Count][];
        for (var i = 0; i < boxes.Length; i++)
            boxes[i] = sealer.Seal(plaintexts[i].Span, associated[..AssociatedData.Write(associated, _tenantId, place(i))]);
        return boxes;
    }

    /// <exception cref="CryptographicException">Altered, moved from another place, or of a key version that this user does not have.</exception>
    public byte[] Decrypt(ReadOnlySpan<byte> ciphertext, ContentPlace place)
    {
        var key = KeyOf(SealedBox.KeyVersion(ciphertext));
        Span<byte> associated = stackalloc byte[AssociatedData.MaxBytes];
        return SealedBox.Open(key.Bytes, ciphertext, associated[..AssociatedData.Write(associated, _tenantId, place)]);
    }

    /// <summary>A name for data that only this user's key can make (HMAC-SHA-256 under a key derived for the purpose by HKDF, RFC 5869).</summary>
    public byte[] Mac(ReadOnlySpan<byte> data, string purpose)
    {
        Span<byte> key = stackalloc byte[SealedBox.KeyBytes];
        HKDF.DeriveKey(HashAlgorithmName.SHA256, _current.Bytes, key, salt: default, info: System.Text.Encoding.UTF8.GetBytes(purpose));
        return HMACSHA256.HashData(key, data);
    }

    private ContentKey KeyOf(int version)
    {
        foreach (var key in _keys)
        {
            if (key.Version == version)
                return key;
        }

        throw new CryptographicException($"There is no version {version} of this user's key.");
    }
}
