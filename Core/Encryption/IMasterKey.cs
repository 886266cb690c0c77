using System.Security.Cryptography;

namespace AiAspire.Core.Encryption;

/// <summary>A key as the master key wrapped it, and which master key that was.</summary>
/// <param name="MasterKeyId">Names the master key and its version; stored beside the bytes.</param>
/// <param name="Bytes">In the form of that master key; opaque to everyone else.</param>
public sealed record WrappedKey(string MasterKeyId, byte[] Bytes);

/// <summary>The master key cannot be asked now: sealed, denied, unreachable or not there. The message says which, and what to do.</summary>
public sealed class MasterKeyUnavailableException(string message, Exception? innerException = null) : Exception(message, innerException);

/// <summary>
/// The key above all others. It only wraps and unwraps tenant keys, so it may live in a key management system and be slow. All members
/// throw <see cref="MasterKeyUnavailableException"/> when that system does not answer.
/// </summary>
public interface IMasterKey
{
    /// <summary>What <see cref="WrapAsync"/> would wrap with now. It changes when the key is rotated or replaced.</summary>
    ValueTask<string> CurrentKeyIdAsync(CancellationToken cancellationToken);

    /// <summary>Encrypts a key. <paramref name="associatedData"/> must be given again to unwrap.</summary>
    ValueTask<WrappedKey> WrapAsync(ReadOnlyMemory<byte> key, ReadOnlyMemory<byte> associatedData, CancellationToken cancellationToken);

    /// <exception cref="CryptographicException">Another key wrapped it, or it was altered or moved.</exception>
    ValueTask<byte[]> UnwrapAsync(WrappedKey wrapped, ReadOnlyMemory<byte> associatedData, CancellationToken cancellationToken);
}
