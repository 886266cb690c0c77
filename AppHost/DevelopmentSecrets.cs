using System.Reflection;
using System.Security.Cryptography;

namespace AiAspire.AppHost;

/// <summary>
/// The secrets of a development system: made once, kept in the data folder in files that only this user can read, and so the same
/// after a restart. Production takes its keys from a key management system and its tokens from an identity provider instead.
/// </summary>
internal sealed class DevelopmentSecrets
{
    private readonly string _folder;

    private DevelopmentSecrets(string folder)
    {
        _folder = folder;
        MasterKeyFile = Path.Combine(folder, "master.key");
        MailFolder = Path.GetFullPath(Path.Combine(folder, "..", "mail"));
        TombstonesFile = Path.GetFullPath(Path.Combine(folder, "..", "tombstones.jsonl"));
        Keep(MasterKeyFile, () => Convert.ToBase64String(RandomNumberGenerator.GetBytes(32)));
        ApiKey = Keep(Path.Combine(folder, "development-api.key"), () => "sk-dev-" + Base64Url(RandomNumberGenerator.GetBytes(32)));
        using var issuer = IssuerKey();
        IssuerPublicKey = Convert.ToBase64String(issuer.ExportSubjectPublicKeyInfo());
    }

    /// <summary>Folder of the AppHost's project file, as the build noted it.</summary>
    public static string AppHostDirectory { get; } =
        typeof(DevelopmentSecrets).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().First(a => a.Key == "AppHostDirectory").Value!;

    /// <summary>Both engines keep their data in the repository, unless <c>--data</c> says otherwise.</summary>
    public static string DefaultDataFolder { get; } = Path.GetFullPath(Path.Combine(AppHostDirectory, "..", ".aiaspire"));

    /// <summary>File with the key that wraps all others: 32 random bytes, base64.</summary>
    public string MasterKeyFile { get; }

    /// <summary>Where mail that the system sends is written, one file each.</summary>
    public string MailFolder { get; }

    /// <summary>File that remembers, outside the key store, which users were erased.</summary>
    public string TombstonesFile { get; }

    /// <summary>The API key that the seed data knows: <c>sk-dev-</c> and 43 base64url characters (256 bits).</summary>
    public string ApiKey { get; }

    /// <summary>What verifies the tokens we sign: SubjectPublicKeyInfo (RFC 5280), DER, base64 in one line.</summary>
    public string IssuerPublicKey { get; }

    /// <summary>Opens the secrets of a data folder; what is missing is made.</summary>
    public static DevelopmentSecrets In(string dataFolder) => new(Path.Combine(dataFolder, "secrets"));

    /// <summary>The private key that signs development tokens: ECDSA on P-256, for ES256.</summary>
    public ECDsa IssuerKey()
    {
        var pem = Keep(Path.Combine(_folder, "development-issuer.pem"), () =>
        {
            using var made = ECDsa.Create(ECCurve.NamedCurves.nistP256);
            return made.ExportPkcs8PrivateKeyPem();
        });
        var key = ECDsa.Create();
        key.ImportFromPem(pem);
        return key;
    }

    internal static string Base64Url(ReadOnlySpan<byte> bytes) => System.Buffers.Text.Base64Url.EncodeToString(bytes);

    private static string Keep(string file, Func<string> make)
    {
        if (File.Exists(file))
            return File.ReadAllText(file);

        var secret = make();
        var folder = Directory.CreateDirectory(Path.GetDirectoryName(file)!).FullName;
        var options = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write };
        if (!OperatingSystem.IsWindows())
        {
            options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
            File.SetUnixFileMode(folder, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        }

        var draft = $"{file}.{Environment.ProcessId}";
        using (var writer = new StreamWriter(draft, options))
            writer.Write(secret);
        File.Move(draft, file);
        return secret;
    }
}
