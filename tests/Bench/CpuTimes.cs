using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;

namespace AiAspire.Bench;

/// <summary>Processor time used so far, by who used it.</summary>
/// <param name="ByPart">Of the processes that take part in a measurement.</param>
/// <param name="Machine">Of everything on the machine; null where the system does not tell.</param>
internal sealed record CpuTimes(IReadOnlyDictionary<string, TimeSpan> ByPart, TimeSpan? Machine)
{
    // USER_HZ, which is 100 on every Linux that .NET runs on (proc(5)).
    private static readonly TimeSpan Tick = TimeSpan.FromMilliseconds(10);

    public static CpuTimes Read(IReadOnlyDictionary<string, IReadOnlyList<int>> processes) => new(
        processes.ToDictionary(p => p.Key, p => p.Value.Aggregate(TimeSpan.Zero, (sum, pid) => sum + Of(pid)), StringComparer.Ordinal), OfMachine());

    public IReadOnlyDictionary<string, TimeSpan> PartsSince(CpuTimes earlier) =>
        ByPart.ToDictionary(p => p.Key, p => Max(p.Value - earlier.ByPart[p.Key], TimeSpan.Zero), StringComparer.Ordinal);

    /// <summary>What others on the machine, and the kernel on nobody's account, used meanwhile.</summary>
    public TimeSpan? OthersSince(CpuTimes earlier) =>
        Machine - earlier.Machine is { } all ? all - PartsSince(earlier).Values.Aggregate(TimeSpan.Zero, (sum, part) => sum + part) : null;

    // Less than before: a process of the part has ended.
    private static TimeSpan Max(TimeSpan a, TimeSpan b) => a > b ? a : b;

    private static TimeSpan Of(int pid)
    {
        try
        {
            using var process = Process.GetProcessById(pid);
            return process.TotalProcessorTime;
        }
        catch (Exception e) when (e is ArgumentException or InvalidOperationException or Win32Exception)
        {
            // Gone: a database connection that was closed meanwhile.
            return TimeSpan.Zero;
        }
    }

    private static TimeSpan? OfMachine()
    {
        const string File = "/proc/stat";
        if (!System.IO.File.Exists(File))
            return null;

        // cpu user nice system idle iowait irq softirq steal …
        var fields = System.IO.File.ReadLines(File).First().Split(' ', StringSplitOptions.RemoveEmptyEntries);
        return Tick * new[] { 1, 2, 3, 6, 7, 8 }.Sum(i => long.Parse(fields[i], CultureInfo.InvariantCulture));
    }
}
