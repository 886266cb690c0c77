using System.Security.Cryptography;

namespace AiAspire.Core.Encryption;

/// <summary>The current master key, which wraps, and earlier local ones, which still unwrap what they wrapped.</summary>
internal sealed class MasterKeyRing(IMasterKey current, IReadOnlyList<LocalMasterKey> previous) : IMasterKey
{
    private readonly Dictionary<string, LocalMasterKey> _previous = previous.DistinctBy(k => k.KeyId).ToDictionary(k => k.KeyId, StringComparer.Ordinal);

    public ValueTask<string> CurrentKeyIdAsync(CancellationToken cancellationToken) => current.CurrentKeyIdAsync(cancellationToken);

    public ValueTask<WrappedKey> WrapAsync(ReadOnlyMemory<byte> key, ReadOnlyMemory<byte> associatedData, CancellationToken cancellationToken)
        => current.WrapAsync(key, associatedData, cancellationToken);

    public async ValueTask<byte[]> UnwrapAsync(WrappedKey wrapped, ReadOnlyMemory<byte> associatedData, CancellationToken cancellationToken)
    {
        try
        {
            return await (_previous.TryGetValue(wrapped.MasterKeyId, out var key) ? key : current).UnwrapAsync(wrapped, associatedData, cancellationToken);
        }
        catch (CryptographicException e) when (!_previous.ContainsKey(wrapped.MasterKeyId))
        {
            throw new CryptographicException(
                $"A key was wrapped by the master key '{wrapped.MasterKeyId}', and does not open with the current one. "
                + "If the master key was replaced, name the old one in Encryption:PreviousMasterKeyFiles or :PreviousMasterKeys; if not, the key store was altered.", e);
        }
    }
}
