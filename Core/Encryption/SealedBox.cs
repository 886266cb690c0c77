using System.Buffers.Binary;
using System.Security.Cryptography;

namespace AiAspire.Core.Encryption;

/// <summary>
/// AES-256-GCM (NIST SP 800-38D) with a random 96-bit nonce, laid out as
/// <c>format (1) ‖ key version (4, big-endian) ‖ nonce (12) ‖ ciphertext (n) ‖ tag (16)</c>. Format and key version are authenticated
/// before the associated data. Random nonces hold for 2³² messages a key (SP 800-38D §8.3); content keys are per user, far below that.
/// </summary>
internal static class SealedBox
{
    public const int KeyBytes = 32;
    public const int Overhead = HeaderBytes + NonceBytes + TagBytes;
    private const byte Format = 1;
    private const int HeaderBytes = 5;
    private const int NonceBytes = 12;
    private const int TagBytes = 16;

    /// <summary>Seals; <see cref="KeyVersion"/> tells from the box which version of the key that was.</summary>
    public static byte[] Seal(ReadOnlySpan<byte> key, ReadOnlySpan<byte> plaintext, ReadOnlySpan<byte> associatedData, int keyVersion = 1)
    {
        using var sealer = new Sealer(key, keyVersion);
        return sealer.Seal(plaintext, associatedData);
    }

    /// <summary>The version of the key that sealed a box; trusted only once the box has opened.</summary>
    /// <exception cref="CryptographicException">The box is too short or of an unknown format.</exception>
    public static int KeyVersion(ReadOnlySpan<byte> box)
    {
        if (box.Length < Overhead)
            throw new CryptographicException("The ciphertext is shorter than its frame.");
        if (box[0] != Format)
            throw new CryptographicException($"The ciphertext has the unknown format version {box[0]}.");
        return BinaryPrimitives.ReadInt32BigEndian(box[1..]);
    }

    /// <exception cref="CryptographicException">The box is too short, of an unknown format, altered, or bound to another place.</exception>
    public static byte[] Open(ReadOnlySpan<byte> key, ReadOnlySpan<byte> box, ReadOnlySpan<byte> associatedData)
    {
        _ = KeyVersion(box);
        using var cipher = new AesGcm(key, TagBytes);
        var plaintext = new byte[box.Length - Overhead];
        Span<byte> authenticated = stackalloc byte[HeaderBytes + AssociatedData.MaxBytes];
        cipher.Decrypt(
            box.Slice(HeaderBytes, NonceBytes),
            box[(HeaderBytes + NonceBytes)..^TagBytes],
            box[^TagBytes..],
            plaintext,
            Authenticated(authenticated, box, associatedData));
        return plaintext;
    }

    private static ReadOnlySpan<byte> Authenticated(Span<byte> target, ReadOnlySpan<byte> box, ReadOnlySpan<byte> associatedData)
    {
        box[..HeaderBytes].CopyTo(target);
        associatedData.CopyTo(target[HeaderBytes..]);
        return target[..(HeaderBytes + associatedData.Length)];
    }

    /// <summary>
    /// Seals one after another under one key. An <see cref="AesGcm"/> holds one native context and must not be shared by threads; making one costs
    /// more than sealing a short text.
    /// </summary>
    internal sealed class Sealer(ReadOnlySpan<byte> key, int keyVersion) : IDisposable
    {
        private readonly AesGcm _cipher = new(key, TagBytes);

        /// <inheritdoc cref="SealedBox.Seal"/>
        public byte[] Seal(ReadOnlySpan<byte> plaintext, ReadOnlySpan<byte> associatedData)
        {
            var box = new byte[plaintext.Length + Overhead];
            box[0] = Format;
            BinaryPrimitives.WriteInt32BigEndian(box.AsSpan(1), keyVersion);
            var nonce = box.AsSpan(HeaderBytes, NonceBytes);
            RandomNumberGenerator.Fill(nonce);
            Span<byte> authenticated = stackalloc byte[HeaderBytes + AssociatedData.MaxBytes];
            _cipher.Encrypt(
                nonce,
                plaintext,
                box.AsSpan(HeaderBytes + NonceBytes, plaintext.Length),
                box.AsSpan(HeaderBytes + NonceBytes + plaintext.Length, TagBytes),
                Authenticated(authenticated, box, associatedData));
            return box;
        }

        public void Dispose() => _cipher.Dispose();
    }
}
