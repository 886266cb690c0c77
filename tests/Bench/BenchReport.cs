using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace AiAspire.Bench;

/// <summary>The result for readers (Markdown) and for programs (JSON).</summary>
internal sealed record BenchReport(
    MachineFacts Machine, string Database, BenchOptions Options, Books Books, long Asked, IReadOnlyList<Measurement> Measurements)
{
    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web)
    {
        WriteIndented = true,
        Converters = { new JsonStringEnumConverter(JsonNamingPolicy.CamelCase) },
        NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals,
    };

    /// <summary>No error, and a ledger that knows every request once.</summary>
    public bool IsSound => BooksAgree && Measurements.All(m => m.Errors == 0);

    private bool BooksAgree => Books.Open == 0 && Books.Settled == Asked && Books.Requests == Asked;

    public string ToMarkdown()
    {
        var text = new StringBuilder();
        AppendFacts(text);
        foreach (var delivery in Options.Deliveries)
            AppendTable(text, delivery);
        AppendCpu(text);
        AppendMemory(text);
        text.AppendLine(
            $"Ledger: {Asked} requests sent to the Api (warm-up included), {Books.Settled} attempts settled ({Books.Succeeded} succeeded), " +
            $"{Books.Open} open, {Books.Requests} requests booked, {Books.Messages} messages kept: {(BooksAgree ? "equal" : "**NOT EQUAL**")}.");
        return text.ToString();
    }

    public async Task WriteJsonAsync(string file, CancellationToken cancellationToken)
    {
        await using var stream = File.Create(file);
        await JsonSerializer.SerializeAsync(stream, this, Json, cancellationToken);
    }

    private void AppendFacts(StringBuilder text)
    {
        text.AppendLine($"- {Machine.Date}, commit {Machine.Commit}, {Machine.Configuration} build");
        text.AppendLine($"- {Machine.Cores} cores ({Machine.Cpu}), {Machine.MemoryGiB:0.0} GiB, {Machine.System}, {Machine.Runtime}");
        text.AppendLine($"- {Database}; YARP {YarpPeer.Version}; Portkey's gateway {PortkeyPeer.Version}; an fsync takes {Machine.DiskFlushMs:0.0} ms; load average at the start {Machine.LoadAverage}");
        text.AppendLine(
            $"- {Options.Rounds} round(s) of {Options.Length.TotalSeconds:0} s each, in turn {string.Join(", ", Options.Paths)}; medians of the rounds; " +
            $"others took {Median(Measurements.Select(m => m.Others ?? 0)):P0} of the processors (median of all measurements; at most {Measurements.Max(m => m.Others ?? 0):P0})");
        text.AppendLine();
    }

    private void AppendTable(StringBuilder text, Delivery delivery)
    {
        var stream = delivery == Delivery.Stream;
        text.AppendLine(stream ? "Streams of about 20 tokens" : "Whole answers (non-stream)");
        text.AppendLine();
        text.AppendLine($"| Callers | Path | Requests/s | p50 ms | p95 ms | p99 ms | Added p50 ms | Added p95 ms | Added p99 ms |{(stream ? " First token p50 ms |" : "")} × direct | × YARP | × Portkey | Errors |");
        text.AppendLine($"|--:|---|--:|--:|--:|--:|--:|--:|--:|{(stream ? "--:|" : "")}--:|--:|--:|--:|");
        foreach (var callers in Options.Concurrency)
            foreach (var path in Options.Paths)
                AppendRow(text, [.. Measurements.Where(m => m.Delivery == delivery && m.Callers == callers && m.Path == path)], stream);
        text.AppendLine();
    }

    private void AppendRow(StringBuilder text, IReadOnlyList<Measurement> rounds, bool stream)
    {
        text.Append(CultureInfo.InvariantCulture, $"| {rounds[0].Callers} | {rounds[0].Path} | {Median(rounds.Select(m => m.RequestsPerSecond)):0} ");
        text.Append(CultureInfo.InvariantCulture, $"| {Median(rounds.Select(m => m.Latency.P50)):0.00} | {Median(rounds.Select(m => m.Latency.P95)):0.00} ");
        text.Append(CultureInfo.InvariantCulture, $"| {Median(rounds.Select(m => m.Latency.P99)):0.00} ");
        foreach (var percentile in (Func<Percentiles, double>[])[static p => p.P50, static p => p.P95, static p => p.P99])
            text.Append($"| {Number(Added(rounds, percentile), "0.00")} ");
        text.Append('|');
        if (stream)
            text.Append(CultureInfo.InvariantCulture, $" {Median(rounds.Select(m => m.FirstToken.P50)):0.00} |");
        text.AppendLine($" {Number(Ratio(rounds, ChatPath.Direct), "0.00×")} | {Number(Ratio(rounds, ChatPath.Yarp), "0.00×")} | {Number(Ratio(rounds, ChatPath.Portkey), "0.00×")} | {rounds.Sum(m => m.Errors)} |");
    }

    /// <summary>Memory at its peak, and what the Api allocates, at the most callers.</summary>
    private void AppendMemory(StringBuilder text)
    {
        var callers = Options.Concurrency.Max();
        var parts = Measurements[0].PeakMiB.Keys.ToArray();
        text.AppendLine($"Peak memory by process, MiB (added up where a part has several), and allocations of the Api per answer, KiB, at {callers} callers");
        text.AppendLine();
        text.AppendLine($"| Delivery | Path | {string.Join(" | ", parts)} | Api allocates |");
        text.AppendLine($"|---|---|{string.Concat(parts.Select(_ => "--:|"))}--:|");
        foreach (var rounds in Measurements.Where(m => m.Callers == callers).GroupBy(m => (m.Delivery, m.Path)))
        {
            text.AppendLine(
                $"| {(rounds.Key.Delivery == Delivery.Stream ? "stream" : "whole")} | {rounds.Key.Path} | {string.Join(" | ", parts.Select(p => Number(rounds.Max(m => m.PeakMiB[p]), "0")))} " +
                $"| {Number(Median(rounds.Select(m => m.AllocatedPerAnswer ?? double.NaN)), "0.0")} |");
        }

        text.AppendLine();
    }

    /// <summary>A percentile less the direct path's in the same round.</summary>
    private double Added(IReadOnlyList<Measurement> rounds, Func<Percentiles, double> percentile) =>
        Median(rounds.Select(m => percentile(m.Latency) - (SameRound(m, ChatPath.Direct) is { } direct ? percentile(direct.Latency) : double.NaN)));

    /// <summary>Where the processors' time goes, at the middle concurrency.</summary>
    private void AppendCpu(StringBuilder text)
    {
        var callers = Options.Concurrency[Options.Concurrency.Count / 2];
        var parts = Measurements[0].CpuPerAnswer.Keys.ToArray();
        text.AppendLine($"Processor time per answer, ms, at {callers} callers");
        text.AppendLine();
        text.AppendLine($"| Delivery | Path | {string.Join(" | ", parts)} | all |");
        text.AppendLine($"|---|---|{string.Concat(parts.Select(_ => "--:|"))}--:|");
        foreach (var rounds in Measurements.Where(m => m.Callers == callers).GroupBy(m => (m.Delivery, m.Path)))
        {
            var times = parts.Select(part => Median(rounds.Select(m => m.CpuPerAnswer[part]))).ToArray();
            text.AppendLine(
                $"| {(rounds.Key.Delivery == Delivery.Stream ? "stream" : "whole")} | {rounds.Key.Path} | {string.Join(" | ", times.Select(t => Number(t, "0.00")))} | {Number(times.Sum(), "0.00")} |");
        }

        text.AppendLine();
    }

    /// <summary>Requests per second as a multiple of another path's in the same round.</summary>
    private double Ratio(IReadOnlyList<Measurement> rounds, string other) =>
        Median(rounds.Select(m => m.RequestsPerSecond / SameRound(m, other)?.RequestsPerSecond ?? double.NaN));

    private Measurement? SameRound(Measurement m, string path) =>
        Measurements.FirstOrDefault(o => o.Path == path && o.Round == m.Round && o.Callers == m.Callers && o.Delivery == m.Delivery);

    private static string Number(double value, string format) => double.IsNaN(value) ? "" : value.ToString(format, CultureInfo.InvariantCulture);

    private static double Median(IEnumerable<double> values)
    {
        var sorted = values.Order().ToArray();
        return sorted.Length == 0 ? double.NaN : (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2;
    }
}
