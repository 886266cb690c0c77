using System.Runtime.InteropServices;

namespace Aspire.Hosting.Embedded;

/// <summary>The few calls of the operating system that .NET has no word for.</summary>
internal static class Unix
{
    public const int SigInt = 2;
    public const int SigQuit = 3;
    public const int SigKill = 9;
    public const int SigTerm = 15;

    // The numbers of these two differ between Linux and the BSDs (macOS).
    public static readonly int SigStop = OperatingSystem.IsLinux() ? 19 : 17;
    public static readonly int SigCont = OperatingSystem.IsLinux() ? 18 : 19;

    public static bool IsRoot => !OperatingSystem.IsWindows() && geteuid() == 0;

    public static int ParentPid => OperatingSystem.IsWindows() ? 0 : getppid();

    /// <summary>Sends a signal; false when there is no such process (any more).</summary>
    public static bool Signal(int pid, int signal) => kill(pid, signal) == 0;

    public static bool IsAlive(int pid) => Signal(pid, 0);

    /// <summary>The full path of a command on PATH, or null.</summary>
    public static string? Find(string command)
    {
        var folders = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries)
            .Concat(OperatingSystem.IsWindows() ? [] : ["/usr/bin", "/bin", "/usr/sbin", "/sbin"]);
        var names = OperatingSystem.IsWindows() ? [$"{command}.exe", $"{command}.cmd"] : new[] { command };
        return folders.SelectMany(folder => names.Select(name => Path.Combine(folder, name))).FirstOrDefault(File.Exists);
    }

    /// <summary>The command line of a running process; null when there is no such process, or it is not for us to see.</summary>
    public static string? CommandLineOf(int pid)
    {
        try
        {
            if (Directory.Exists("/proc/self"))
                return File.ReadAllText($"/proc/{pid}/cmdline").Replace('\0', ' ');
            if (OperatingSystem.IsWindows())
                return null;

            var start = ProcessStart.Plain(["/bin/ps", "-o", "command=", "-p", pid.ToString()]);
            start.RedirectStandardOutput = true;
            using var ps = System.Diagnostics.Process.Start(start);
            return ps?.StandardOutput.ReadToEnd() is { Length: > 0 } line ? line : null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    /// <summary>The processes below one, parents first. Linux only: elsewhere none are found.</summary>
    public static IReadOnlyList<int> Descendants(int pid)
    {
        if (!Directory.Exists("/proc/self"))
            return [];

        var children = Directory.EnumerateDirectories("/proc")
            .Select(folder => int.TryParse(Path.GetFileName(folder), out var id) ? id : 0)
            .Where(id => id > 0)
            .ToLookup(ParentOf);
        var found = new List<int>();
        for (var (queue, next) = (new Queue<int>([pid]), 0); queue.TryDequeue(out next);)
            foreach (var child in children[next])
            {
                found.Add(child);
                queue.Enqueue(child);
            }

        return found;
    }

    private static int ParentOf(int pid)
    {
        try
        {
            // pid (name) state ppid …: the name may hold blanks and parentheses, so count from its end.
            var stat = File.ReadAllText($"/proc/{pid}/stat");
            return int.Parse(stat[(stat.LastIndexOf(')') + 2)..].Split(' ')[1]);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return -1;
        }
    }

    [DllImport("libc", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int kill(int pid, int signal);

    [DllImport("libc")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern uint geteuid();

    [DllImport("libc")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int getppid();
}
