namespace AiAspire.Core.Encryption;

/// <summary>The key above all others. It only wraps and unwraps tenant keys, so it may live in a KMS and be slow.</summary>
public interface IMasterKey
{
    /// <summary>Names the key and its version; stored beside what it wrapped.</summary>
    string KeyId { get; }

    /// <summary>Encrypts a key. <paramref name="associatedData"/> must be given again to unwrap.</summary>
    ValueTask<byte[]> WrapAsync(ReadOnlyMemory<byte> key, ReadOnlyMemory<byte> associatedData, CancellationToken cancellationToken);

    /// <exception cref="System.Security.Cryptography.AuthenticationTagMismatchException">Another key wrapped it, or it was altered or moved.</exception>
    ValueTask<byte[]> UnwrapAsync(ReadOnlyMemory<byte> wrapped, ReadOnlyMemory<byte> associatedData, CancellationToken cancellationToken);
}
