using System.Security.Cryptography;
using System.Text.Json;

namespace Aspire.Hosting.Embedded;

/// <summary>
/// Everything a system keeps: database cluster, generated secrets, logs, run file. One AppHost at a time uses a folder; the
/// lock is the operating system's and so falls with the process, however that ends.
/// </summary>
internal sealed class DataFolder(string path) : IDisposable
{
    private readonly Lock _parameters = new();
    private FileStream? _lock;

    /// <summary>Absolute path.</summary>
    public string Path { get; } = System.IO.Path.GetFullPath(path);

    public string LogFolder => System.IO.Path.Combine(Path, "logs");

    public string RunFile => System.IO.Path.Combine(Path, "run.json");

    /// <summary>Random and kept: tells this folder from a later one at the same path.</summary>
    public string Id => KeptParameter("data-folder-id", () => RandomNumberGenerator.GetHexString(16, lowercase: true));

    private string ParameterFile => System.IO.Path.Combine(Path, "secrets", "parameters.json");

    private string LockFile => System.IO.Path.Combine(Path, "apphost.lock");

    /// <summary>Creates the folder and takes it.</summary>
    /// <exception cref="DistributedApplicationException">Another AppHost has it.</exception>
    public void Open()
    {
        try
        {
            Directory.CreateDirectory(LogFolder);
            _lock = Lock() ?? throw new DistributedApplicationException(
                $"Another AppHost already runs with the data folder {Path}{AddressOfOther()}; stop it first, or run a second system with --data DIR.");
            if (!OperatingSystem.IsWindows())
            {
                File.SetUnixFileMode(LogFolder, Private | UnixFileMode.UserExecute);
                // The unprivileged user that PostgreSQL runs as must be able to pass through, but not to look around.
                File.SetUnixFileMode(Path, Private | UnixFileMode.UserExecute | UnixFileMode.GroupExecute | UnixFileMode.OtherExecute);
            }

            File.Delete(RunFile);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new DistributedApplicationException($"The data folder {Path} cannot be used ({e.Message}); choose another with --data DIR.", e);
        }
    }

    /// <summary>A value made once and kept in a file that only this user can read.</summary>
    public string KeptParameter(string name, Func<string> make)
    {
        lock (_parameters)
        {
            var kept = File.Exists(ParameterFile)
                ? JsonSerializer.Deserialize<SortedDictionary<string, string>>(File.ReadAllText(ParameterFile)) ?? []
                : [];
            if (kept.TryGetValue(name, out var value))
                return value;

            kept[name] = value = make();
            WritePrivate(ParameterFile, JsonSerializer.Serialize(kept, JsonSerializerOptions.Web));
            return value;
        }
    }

    /// <summary>Deletes everything in the folder but the lock that is held.</summary>
    public void Clear()
    {
        foreach (var file in Directory.EnumerateFiles(Path).Where(f => f != LockFile))
            File.Delete(file);
        foreach (var folder in Directory.EnumerateDirectories(Path))
            Directory.Delete(folder, recursive: true);
        Directory.CreateDirectory(LogFolder);
    }

    /// <summary>Writes a file that only this user can read, whole or not at all.</summary>
    public static void WritePrivate(string file, string text)
    {
        Directory.CreateDirectory(System.IO.Path.GetDirectoryName(file)!);
        var options = new FileStreamOptions { Mode = FileMode.Create, Access = FileAccess.Write };
        if (!OperatingSystem.IsWindows())
            options.UnixCreateMode = Private;
        var draft = file + ".new";
        using (var writer = new StreamWriter(draft, options))
            writer.Write(text);
        File.Move(draft, file, overwrite: true);
    }

    public void Dispose() => _lock?.Dispose();

    private const UnixFileMode Private = UnixFileMode.UserRead | UnixFileMode.UserWrite;

    private FileStream? Lock()
    {
        try
        {
            return new FileStream(LockFile, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (IOException e) when (e is not (DirectoryNotFoundException or PathTooLongException))
        {
            return null;
        }
    }

    private string AddressOfOther()
    {
        try
        {
            using var run = JsonDocument.Parse(File.ReadAllText(RunFile));
            return $" (process {run.RootElement.GetProperty("apphostPid")}, API at {run.RootElement.GetProperty("api")})";
        }
        catch (Exception e) when (e is IOException or JsonException or KeyNotFoundException)
        {
            return " (it is still starting)";
        }
    }
}
