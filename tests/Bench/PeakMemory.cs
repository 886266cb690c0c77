using System.Globalization;

namespace AiAspire.Bench;

/// <summary>The most that a process has held in memory, as the kernel keeps it (proc(5), <c>VmHWM</c>).</summary>
internal static class PeakMemory
{
    /// <summary>Forgets what went before; what cannot be reset keeps its peak of the whole run.</summary>
    public static void Reset(IEnumerable<int> processes)
    {
        foreach (var pid in processes)
        {
            try
            {
                // 5: "reset the peak resident set size" (proc(5), clear_refs).
                File.WriteAllText($"/proc/{pid}/clear_refs", "5");
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                // Gone meanwhile, or another user's.
            }
        }
    }

    public static double MiB(int pid)
    {
        const string Field = "VmHWM:";
        try
        {
            // VmHWM:     12345 kB
            var line = File.ReadLines($"/proc/{pid}/status").FirstOrDefault(static l => l.StartsWith(Field, StringComparison.Ordinal));
            return line is null ? 0 : long.Parse(line[Field.Length..^2].Trim(), CultureInfo.InvariantCulture) / 1024.0;
        }
        catch (IOException)
        {
            return 0;
        }
    }
}

/// <summary>What the Api has allocated since its start, read off its own metrics.</summary>
internal sealed class ApiAllocations(WholeApplication whole)
{
    private const string Name = "dotnet_gc_heap_total_allocated_bytes_total{";

    /// <summary>Bytes; null when the metric is not there.</summary>
    public async Task<double?> ReadAsync(CancellationToken cancellationToken)
    {
        using var client = whole.ApiClient();
        var line = (await client.GetStringAsync("/metrics", cancellationToken)).Split('\n').FirstOrDefault(static l => l.StartsWith(Name, StringComparison.Ordinal));
        return line is null ? null : double.Parse(line.Split(' ')[1], CultureInfo.InvariantCulture);
    }
}
