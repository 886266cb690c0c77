using AiAspire.Evaluator.Gate;
using Spectre.Console;

namespace AiAspire.Evaluator.Reports;

/// <summary>The report for a person at a terminal.</summary>
internal static class TableReport
{
    public static void Write(IAnsiConsole console, EvaluationReport report)
    {
        var variants = report.Baseline is { } baseline ? $"{report.Candidate} against {baseline}" : report.Candidate;
        console.MarkupLineInterpolated(
            $"[bold]{report.Suite}[/]: {variants}, {report.Cases.Count} cases x {report.Repeats} repeats on {report.Versions.Target}");
        console.Write(Cases(report));
        console.Write(Summary(report));
        Decision(console, report.Decision);
    }

    public static void Decision(IAnsiConsole console, GateDecision decision)
    {
        var (colour, word) = decision.Verdict switch
        {
            Verdict.Ship => ("green", "SHIP"),
            Verdict.Block => ("red", "BLOCK"),
            _ => ("yellow", "INCONCLUSIVE"),
        };
        console.MarkupLine($"[bold {colour}]{word}[/]");
        foreach (var reason in decision.Reasons)
            console.MarkupLineInterpolated($"  - {reason}");
    }

    private static Table Cases(EvaluationReport report)
    {
        var table = new Table().Border(TableBorder.Simple).AddColumns("case", "candidate", "score", "cost", "latency");
        if (report.Baseline is not null)
            table.AddColumns("baseline", "score", "cost", "latency");
        foreach (var one in report.Cases)
        {
            List<string> cells = [Markup.Escape(one.Id) + (one.Critical ? " [red]![/]" : ""), .. Cells(one.Candidate)];
            if (one.Baseline is { } baseline)
                cells.AddRange(Cells(baseline));
            table.AddRow([.. cells]);
        }

        return table.Caption("[grey]! critical: every repeat must pass. ~ repeats disagree. cost is the mean per answer.[/]");
    }

    private static IEnumerable<string> Cells(CaseOutcome outcome) =>
    [
        outcome.Verdict switch
        {
            CaseVerdict.Pass => $"[green]pass[/] {Repeats(outcome)}",
            CaseVerdict.Fail => $"[red]fail[/] {Repeats(outcome)}",
            _ => $"[yellow]error[/] {Repeats(outcome)}",
        },
        outcome.Score is { } score ? $"{score:0.00}" : "-",
        Cost(outcome.CostUsd),
        outcome.LatencyMs is { } latency ? $"{latency:0} ms" : "-",
    ];

    private static string Repeats(CaseOutcome outcome) =>
        $"{outcome.Passes}/{outcome.Repeats.Count}{(outcome.Flaky ? "~" : "")}{(outcome.Errors > 0 ? $" [yellow]{outcome.Errors} err[/]" : "")}";

    private static Table Summary(EvaluationReport report)
    {
        var table = new Table().Border(TableBorder.Simple)
            .AddColumns("variant", "passed", "rate", "95 % interval", "score", "errors", "cost", "judging", "p50", "p95");
        foreach (var variant in new[] { report.CandidateSummary, report.BaselineSummary }.OfType<VariantSummary>())
        {
            table.AddRow(
                Markup.Escape(variant.Model),
                $"{variant.Passed}/{variant.Judged}",
                $"{variant.PassRate * 100:0.#} %",
                $"{variant.PassRateInterval.Low * 100:0.#} to {variant.PassRateInterval.High * 100:0.#} %",
                $"{variant.MeanScore:0.00}",
                $"{variant.Errors}/{variant.Calls}",
                Cost(variant.CostUsd),
                Cost(variant.JudgingCostUsd),
                variant.P50LatencyMs is { } p50 ? $"{p50:0} ms" : "-",
                variant.P95LatencyMs is { } p95 ? $"{p95:0} ms" : "-");
        }

        return table;
    }

    private static string Cost(decimal? usd) => usd is { } known ? $"${known:0.######}" : "unknown";
}
