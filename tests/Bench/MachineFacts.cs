using System.Globalization;
using System.Runtime.InteropServices;
using Aspire.Hosting.Embedded;

namespace AiAspire.Bench;

/// <summary>Where and when a measurement was made: without it a figure says nothing.</summary>
internal sealed record MachineFacts(
    string Date, string Commit, int Cores, string Cpu, double MemoryGiB, string System, string Runtime, string Configuration, string LoadAverage,
    double DiskFlushMs)
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
        File.Exists("/proc/loadavg") ? string.Join(' ', File.ReadAllText("/proc/loadavg").Split(' ')[..3]) : "unknown",
        MeasureDiskFlush(time));

    private static string CpuModel()
    {
        const string Name = "model name";
        var line = File.Exists("/proc/cpuinfo") ? File.ReadLines("/proc/cpuinfo").FirstOrDefault(l => l.StartsWith(Name, StringComparison.Ordinal)) : null;
        return line is null ? RuntimeInformation.ProcessArchitecture.ToString() : line[(line.IndexOf(':') + 1)..].Trim();
    }

    /// <summary>
    /// Median time until 8 KiB more of a file are on the disk, where PostgreSQL's files are too: each of the two commits of a request
    /// waits at least this long.
    /// </summary>
    private static double MeasureDiskFlush(TimeProvider time)
    {
        const int Flushes = 101;
        var file = Path.Combine(Directory.CreateTempSubdirectory("aiaspire-bench-").FullName, "flush");
        var block = new byte[8192];
        var times = new double[Flushes];
        using (var stream = new FileStream(file, FileMode.CreateNew, FileAccess.Write))
        {
            for (var i = 0; i < Flushes; i++)
            {
                var start = time.GetTimestamp();
                stream.Write(block);
                stream.Flush(flushToDisk: true);
                times[i] = time.GetElapsedTime(start).TotalMilliseconds;
            }
        }

        Directory.Delete(Path.GetDirectoryName(file)!, recursive: true);
        Array.Sort(times);
        return times[Flushes / 2];
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
