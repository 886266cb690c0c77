using System.Security.Cryptography;
using AiAspire.Core.Data;
using Npgsql;

namespace AiAspire.Core.Encryption;

/// <summary>Encrypts secrets of the platform itself (provider keys) with the platform tenant's key, which the master key wraps.</summary>
public sealed class PlatformCipher
{
    private readonly NpgsqlDataSource _keyStore;
    private readonly TenantKeys _keys;

    internal PlatformCipher(NpgsqlDataSource keyStore, TenantKeys keys) => (_keyStore, _keys) = (keyStore, keys);

    public async Task<byte[]> EncryptAsync(ReadOnlyMemory<byte> plaintext, ContentPlace place, CancellationToken cancellationToken)
    {
        await using var connection = await _keyStore.OpenConnectionAsync(cancellationToken);
        var row = await _keys.NewestAsync(connection, TenantScope.PlatformTenantId, cancellationToken);
        return SealedBox.Seal(await _keys.UnwrapAsync(row, cancellationToken), plaintext.Span, Associated(place), row.Version);
    }

    /// <exception cref="CryptographicException">Altered, moved from another place, or of a key version that is gone.</exception>
    public async Task<byte[]> DecryptAsync(ReadOnlyMemory<byte> ciphertext, ContentPlace place, CancellationToken cancellationToken)
    {
        await using var connection = await _keyStore.OpenConnectionAsync(cancellationToken);
        var version = SealedBox.KeyVersion(ciphertext.Span);
        var row = (await TenantKeys.ReadAsync(connection, TenantScope.PlatformTenantId, cancellationToken)).Find(r => r.Version == version)
            ?? throw new CryptographicException($"There is no version {version} of the platform's key.");
        return SealedBox.Open(await _keys.UnwrapAsync(row, cancellationToken), ciphertext.Span, Associated(place));
    }

    private static byte[] Associated(ContentPlace place)
    {
        var bytes = new byte[AssociatedData.MaxBytes];
        return bytes[..AssociatedData.Write(bytes, TenantScope.PlatformTenantId, place)];
    }
}
