using System.Security.Cryptography;
using System.Text;

namespace AiAspire.Core.Encryption;

/// <summary>A master key held in memory, from a file (development) or from configuration fed by a secret store.</summary>
internal sealed class LocalMasterKey : IMasterKey
{
    private readonly byte[] _key;

    public LocalMasterKey(ReadOnlySpan<byte> key)
    {
        if (key.Length != SealedBox.KeyBytes)
            throw new InvalidOperationException($"The master key has {key.Length} bytes; it must have {SealedBox.KeyBytes}, given as base64.");
        _key = key.ToArray();
        KeyId = "local:" + Convert.ToHexStringLower(SHA256.HashData([.. "aiaspire master key id"u8, .. key])[..8]);
    }

    public string KeyId { get; }

    /// <summary>Reads a key file, refusing one that other users of the machine can read.</summary>
    public static LocalMasterKey FromFile(string path)
    {
        if (!File.Exists(path))
            throw new InvalidOperationException($"The master key file '{path}' does not exist. Start through the AppHost, or create it: 32 random bytes as base64, mode 0600.");
        const UnixFileMode forbidden = UnixFileMode.GroupRead | UnixFileMode.GroupWrite | UnixFileMode.OtherRead | UnixFileMode.OtherWrite;
        if (!OperatingSystem.IsWindows() && (File.GetUnixFileMode(path) & forbidden) != UnixFileMode.None)
            throw new InvalidOperationException($"The master key file '{path}' can be read by others. Run: chmod 600 '{path}'");
        return FromBase64(File.ReadAllText(path, Encoding.ASCII), $"the file '{path}'");
    }

    public static LocalMasterKey FromBase64(string text, string where)
    {
        try
        {
            return new LocalMasterKey(Convert.FromBase64String(text.Trim()));
        }
        catch (FormatException e)
        {
            throw new InvalidOperationException($"The master key in {where} is not base64.", e);
        }
    }

    public ValueTask<string> CurrentKeyIdAsync(CancellationToken cancellationToken) => ValueTask.FromResult(KeyId);

    public ValueTask<WrappedKey> WrapAsync(ReadOnlyMemory<byte> key, ReadOnlyMemory<byte> associatedData, CancellationToken cancellationToken)
        => ValueTask.FromResult(new WrappedKey(KeyId, SealedBox.Seal(_key, key.Span, associatedData.Span)));

    public ValueTask<byte[]> UnwrapAsync(WrappedKey wrapped, ReadOnlyMemory<byte> associatedData, CancellationToken cancellationToken)
        => ValueTask.FromResult(SealedBox.Open(_key, wrapped.Bytes, associatedData.Span));
}
