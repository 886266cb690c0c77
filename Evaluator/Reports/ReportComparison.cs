using AiAspire.Evaluator.Gate;
using AiAspire.Evaluator.Running;
using Spectre.Console;

namespace AiAspire.Evaluator.Reports;

/// <summary>The candidates of two stored reports against each other, on the cases both have.</summary>
internal static class ReportComparison
{
    public static ComparisonSummary Of(EvaluationReport before, EvaluationReport after)
    {
        var earlier = before.Cases.ToDictionary(c => c.Id, c => c.Candidate, StringComparer.Ordinal);
        return RunSummary.Compare([.. after.Cases.Where(c => earlier.ContainsKey(c.Id)).Select(c => (c.Id, c.Candidate, earlier[c.Id]))]);
    }

    public static void Write(IAnsiConsole console, EvaluationReport before, EvaluationReport after)
    {
        var comparison = Of(before, after);
        console.MarkupLineInterpolated(
            $"[bold]{after.Suite}[/]: {after.Candidate} of {after.StartedAt:u} against {before.Candidate} of {before.StartedAt:u}");
        console.MarkupLineInterpolated($"{comparison.Cases} cases judged in both");
        if (before.Versions.SuiteHash != after.Versions.SuiteHash)
            console.MarkupLine("[yellow]The suite changed between the two runs: only cases with the same id are compared.[/]");
        if (before.Versions.JudgePrompt != after.Versions.JudgePrompt || before.Versions.JudgeModel != after.Versions.JudgeModel)
            console.MarkupLine("[yellow]The judge changed between the two runs: judged scores are not comparable.[/]");

        var table = new Table().Border(TableBorder.Simple).AddColumns("case", "before", "after", "score before", "score after");
        var flipped = comparison.Regressions.Concat(comparison.Fixes).ToHashSet(StringComparer.Ordinal);
        foreach (var one in after.Cases.Where(c => flipped.Contains(c.Id)))
        {
            var earlier = before.Cases.First(c => c.Id == one.Id).Candidate;
            table.AddRow(Markup.Escape(one.Id), Word(earlier), Word(one.Candidate), $"{earlier.Score:0.00}", $"{one.Candidate.Score:0.00}");
        }

        if (flipped.Count > 0)
            console.Write(table);
        console.MarkupLineInterpolated(
            $"{comparison.Regressions.Count} regressions, {comparison.Fixes.Count} fixes; exact McNemar {ReleaseGate.P(comparison.PDifferent)} (different), {ReleaseGate.P(comparison.PWorse)} (worse).");
        var bounds = comparison.DifferenceBounds;
        console.MarkupLineInterpolated(
            $"Mean score difference {comparison.MeanScoreDifference * 100:0.0} points, one-sided 95 % bounds {bounds.Low * 100:0.0} and {bounds.High * 100:0.0} ({comparison.BoundMethod}).");
    }

    private static string Word(CaseOutcome outcome) => outcome.Verdict == CaseVerdict.Pass ? "[green]pass[/]" : "[red]fail[/]";
}
