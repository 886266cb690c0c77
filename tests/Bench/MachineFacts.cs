using System.Globalization;
using System.Runtime.InteropServices;
using Aspire.Hosting.Embedded;

namespace AiAspire.Bench;

/// <summary>Where and when a measurement was made: without it a figure says nothing.</summary>
internal sealed record MachineFacts(
    string Date, string Commit, int Cores, string Cpu, double MemoryGiB, string System, string Runtime, string Configuration, string LoadAverage)
{
    private const double BytesPerGiB = 1024 * 1024 * 1024;

    public static async Task<MachineFacts> ReadAsync(TimeProvider time, CancellationToken cancellationToken) => new(
        time.GetUtcNow().ToString("yyyy-MM-dd HH:mm 'UTC'", CultureInfo.InvariantCulture),
        await CommitAsync(cancellationToken),
        Environment.ProcessorCount,
        CpuModel(),
        Math.Round(GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / BytesPerGiB, 1),
        RuntimeInformation.OSDescription,
        RuntimeInformation.FrameworkDescription,
        BuildFacts.Configuration,
        File.Exists("/proc/loadavg") ? string.Join(' ', File.ReadAllText("/proc/loadavg").Split(' ')[..3]) : "unknown");

    private static string CpuModel()
    {
        const string Name = "model name";
        var line = File.Exists("/proc/cpuinfo") ? File.ReadLines("/proc/cpuinfo").FirstOrDefault(l => l.StartsWith(Name, StringComparison.Ordinal)) : null;
        return line is null ? RuntimeInformation.ProcessArchitecture.ToString() : line[(line.IndexOf(':') + 1)..].Trim();
    }

    private static async Task<string> CommitAsync(CancellationToken cancellationToken)
    {
        if (Unix.Find("git") is not { } git)
            return "unknown";

        var (code, hash) = await ProcessStart.RunAsync(
            [git, "rev-parse", "--short", "HEAD"], BuildFacts.AppHostDirectory, cancellationToken: cancellationToken);
        var (_, changes) = await ProcessStart.RunAsync(
            [git, "status", "--porcelain", "--untracked-files=no"], BuildFacts.AppHostDirectory, cancellationToken: cancellationToken);
        return code == 0 ? hash.Trim() + (changes.Length > 0 ? " with changes" : "") : "unknown";
    }
}
