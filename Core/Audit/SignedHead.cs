using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace AiAspire.Core.Audit;

/// <summary>
/// The state of a chain at one moment, signed (ECDSA on P-256 with SHA-256, r ‖ s) and kept outside the database: whoever rewrites or
/// cuts the chain there cannot make this agree. One line of JSON in the heads file.
/// </summary>
/// <param name="TenantId">Whose chain.</param>
/// <param name="Sequence">Its last sequence.</param>
/// <param name="Hash">The hash of that entry.</param>
/// <param name="SignedAt">When it was signed, to the millisecond.</param>
/// <param name="KeyId">The first 16 hexadecimal digits of SHA-256 over the public key.</param>
/// <param name="Signature">Over all of the above.</param>
internal sealed record SignedHead(Guid TenantId, long Sequence, byte[] Hash, DateTimeOffset SignedAt, string KeyId, byte[] Signature)
{
    private static ReadOnlySpan<byte> Purpose => "aiaspire audit head 1"u8;

    public static SignedHead Sign(HeadSigningKey key, Guid tenantId, long sequence, byte[] hash, DateTimeOffset now)
    {
        var at = DateTimeOffset.FromUnixTimeMilliseconds(now.ToUnixTimeMilliseconds());
        return new SignedHead(tenantId, sequence, hash, at, key.KeyId, key.Sign(Message(tenantId, sequence, hash, at)));
    }

    public bool IsSignedBy(HeadSigningKey key)
        => KeyId == key.KeyId && Hash.Length == AuditEncoding.HashBytes && key.Verifies(Message(TenantId, Sequence, Hash, SignedAt), Signature);

    public byte[] ToLine() => [.. JsonSerializer.SerializeToUtf8Bytes(this, SignedHeadJson.Default.SignedHead), (byte)'\n'];

    /// <summary>Null when the line is not a head: half-written in a crash, or damaged.</summary>
    public static SignedHead? FromLine(ReadOnlySpan<byte> line)
    {
        try
        {
            return JsonSerializer.Deserialize(line, SignedHeadJson.Default.SignedHead);
        }
        catch (JsonException)
        {
            return null;
        }
    }

    /// <summary>All parts have a fixed length, so their order is encoding enough.</summary>
    private static byte[] Message(Guid tenantId, long sequence, byte[] hash, DateTimeOffset at)
    {
        var message = new byte[Purpose.Length + 16 + 8 + 8 + hash.Length];
        Purpose.CopyTo(message);
        var rest = message.AsSpan(Purpose.Length);
        tenantId.TryWriteBytes(rest, bigEndian: true, out _);
        BinaryPrimitives.WriteInt64BigEndian(rest[16..], sequence);
        BinaryPrimitives.WriteInt64BigEndian(rest[24..], at.ToUnixTimeMilliseconds());
        hash.CopyTo(rest[32..]);
        return message;
    }
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, RespectRequiredConstructorParameters = true, RespectNullableAnnotations = true)]
[JsonSerializable(typeof(SignedHead))]
internal sealed partial class SignedHeadJson : JsonSerializerContext;

/// <summary>The key that signs heads. It lies beside the master key: with neither the database nor its backups.</summary>
internal sealed class HeadSigningKey(ECDsa key)
{
    private readonly Lock _turn = new();

    public string KeyId { get; } = Convert.ToHexStringLower(SHA256.HashData(key.ExportSubjectPublicKeyInfo())[..8]);

    public byte[] Sign(byte[] message)
    {
        lock (_turn)
            return key.SignData(message, HashAlgorithmName.SHA256);
    }

    public bool Verifies(byte[] message, byte[] signature)
    {
        lock (_turn)
            return key.VerifyData(message, signature, HashAlgorithmName.SHA256);
    }

    public static HeadSigningKey Create() => new(ECDsa.Create(ECCurve.NamedCurves.nistP256));

    /// <summary>Reads a PEM file, refusing one that other users of the machine can read.</summary>
    /// <param name="path">The file.</param>
    /// <param name="create">Whether to make it when it is missing.</param>
    public static HeadSigningKey FromFile(string path, bool create)
    {
        if (!File.Exists(path))
        {
            if (!create)
                throw new InvalidOperationException($"The audit signing key '{path}' (Audit:SigningKeyFile) does not exist. Make one: openssl ecparam -name prime256v1 -genkey -noout | openssl pkcs8 -topk8 -nocrypt, mode 0600.");
            Make(path);
        }

        const UnixFileMode forbidden = UnixFileMode.GroupRead | UnixFileMode.GroupWrite | UnixFileMode.OtherRead | UnixFileMode.OtherWrite;
        if (!OperatingSystem.IsWindows() && (File.GetUnixFileMode(path) & forbidden) != UnixFileMode.None)
            throw new InvalidOperationException($"The audit signing key '{path}' can be read by others. Run: chmod 600 '{path}'");
        var key = ECDsa.Create();
        key.ImportFromPem(File.ReadAllText(path));
        return new HeadSigningKey(key);
    }

    private static void Make(string path)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var options = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write };
        if (!OperatingSystem.IsWindows())
            options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        var draft = $"{path}.{Environment.ProcessId}";
        using (var writer = new StreamWriter(draft, options))
            writer.Write(key.ExportPkcs8PrivateKeyPem());
        try
        {
            File.Move(draft, path);
        }
        catch (IOException) when (File.Exists(path))
        {
            // Another process made it first; its key is the key.
            File.Delete(draft);
        }
    }
}
