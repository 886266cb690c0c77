namespace Aspire.Hosting.Embedded;

/// <summary>A folder with <c>postgres</c> and <c>initdb</c>, and the major version they are.</summary>
internal sealed record PostgresBinaries(string Folder, int Major)
{
    private static string Suffix => OperatingSystem.IsWindows() ? ".exe" : "";

    public string Server => Path.Combine(Folder, "postgres" + Suffix);

    public string InitDb => Path.Combine(Folder, "initdb" + Suffix);

    /// <summary>
    /// The machine's own binaries, best first: PATH, then the places where distributions and installers put them, newest first.
    /// </summary>
    public static async Task<IReadOnlyList<PostgresBinaries>> FindAsync(IEnumerable<string> folders, CancellationToken cancellationToken)
    {
        var found = new List<PostgresBinaries>();
        foreach (var folder in folders.Distinct(StringComparer.Ordinal))
            if (await TryAsync(folder, cancellationToken) is { } binaries)
                found.Add(binaries);
        return found;
    }

    public static async Task<PostgresBinaries?> TryAsync(string folder, CancellationToken cancellationToken)
    {
        var candidate = new PostgresBinaries(folder, Major: 0);
        if (!File.Exists(candidate.Server) || !File.Exists(candidate.InitDb))
            return null;

        try
        {
            var (exitCode, output) = await ProcessStart.RunAsync([candidate.Server, "--version"], cancellationToken: cancellationToken);
            return exitCode == 0 && ParseMajor(output) is { } major ? candidate with { Major = major } : null;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            // Not executable, or made for another machine.
            return null;
        }
    }

    public static IEnumerable<string> UsualFolders()
    {
        var path = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries);
        if (OperatingSystem.IsWindows())
        {
            var programs = Environment.GetFolderPath(Environment.SpecialFolder.ProgramFiles);
            return [.. path, .. NewestFirst(Path.Combine(programs, "PostgreSQL"), "*", "bin")];
        }

        return
        [
            .. path,
            .. NewestFirst("/usr/lib/postgresql", "*", "bin"), // Debian, Ubuntu
            .. NewestFirst("/usr", "pgsql-*", "bin"), // PostgreSQL's own packages for Red Hat
            .. NewestFirst("/usr/local", "pgsql*", "bin"),
            "/usr/local/bin",
            "/usr/libexec/postgresql",
            .. NewestFirst("/opt/homebrew/opt", "postgresql@*", "bin"),
            .. NewestFirst("/usr/local/opt", "postgresql@*", "bin"),
            "/opt/homebrew/bin",
            .. NewestFirst("/Applications/Postgres.app/Contents/Versions", "*", "bin"),
        ];
    }

    /// <summary>The folders <paramref name="below"/> that match, highest version in the name first.</summary>
    internal static IEnumerable<string> NewestFirst(string below, string pattern, string bin) => Directory.Exists(below)
        ? Directory.EnumerateDirectories(below, pattern)
            .OrderByDescending(folder => VersionIn(Path.GetFileName(folder)))
            .Select(folder => Path.Combine(folder, bin))
        : [];

    /// <summary>From <c>postgres (PostgreSQL) 15.14 (Debian …)</c> to 15.</summary>
    internal static int? ParseMajor(string versionText)
    {
        var words = versionText.Split(' ', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        var number = words.SkipWhile(w => w != "(PostgreSQL)").Skip(1).FirstOrDefault() ?? "";
        return int.TryParse(new string([.. number.TakeWhile(char.IsAsciiDigit)]), out var major) ? major : null;
    }

    private static Version VersionIn(string name)
    {
        var digits = new string([.. name.SkipWhile(c => !char.IsAsciiDigit(c)).TakeWhile(c => char.IsAsciiDigit(c) || c == '.')]);
        return Version.TryParse(digits.Contains('.') ? digits : $"{digits}.0", out var version) ? version : new Version(0, 0);
    }
}
