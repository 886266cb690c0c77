using System.Security.Cryptography;

namespace AiAspire.Core.Encryption;

/// <summary>
/// AES-256-GCM (NIST SP 800-38D) with a random 96-bit nonce, laid out as
/// <c>version (1) ‖ nonce (12) ‖ ciphertext (n) ‖ tag (16)</c>. A version other than this one is refused.
/// Random nonces hold for 2³² messages a key (SP 800-38D §8.3); content keys are per user, far below that.
/// </summary>
internal static class SealedBox
{
    public const int KeyBytes = 32;
    public const int Overhead = 1 + NonceBytes + TagBytes;
    private const byte Version = 1;
    private const int NonceBytes = 12;
    private const int TagBytes = 16;

    public static byte[] Seal(ReadOnlySpan<byte> key, ReadOnlySpan<byte> plaintext, ReadOnlySpan<byte> associatedData)
    {
        // An AesGcm holds one native context and must not be shared by threads; making one costs about a microsecond.
        using var cipher = new AesGcm(key, TagBytes);
        var box = new byte[plaintext.Length + Overhead];
        box[0] = Version;
        var nonce = box.AsSpan(1, NonceBytes);
        RandomNumberGenerator.Fill(nonce);
        cipher.Encrypt(
            nonce,
            plaintext,
            box.AsSpan(1 + NonceBytes, plaintext.Length),
            box.AsSpan(1 + NonceBytes + plaintext.Length, TagBytes),
            associatedData);
        return box;
    }

    /// <exception cref="CryptographicException">The box is too short, of an unknown version, altered, or bound to another place.</exception>
    public static byte[] Open(ReadOnlySpan<byte> key, ReadOnlySpan<byte> box, ReadOnlySpan<byte> associatedData)
    {
        if (box.Length < Overhead)
            throw new CryptographicException("The ciphertext is shorter than its frame.");
        if (box[0] != Version)
            throw new CryptographicException($"The ciphertext has the unknown format version {box[0]}.");
        using var cipher = new AesGcm(key, TagBytes);
        var plaintext = new byte[box.Length - Overhead];
        cipher.Decrypt(box.Slice(1, NonceBytes), box[(1 + NonceBytes)..^TagBytes], box[^TagBytes..], plaintext, associatedData);
        return plaintext;
    }
}
