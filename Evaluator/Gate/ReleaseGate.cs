using AiAspire.Evaluator.Reports;

namespace AiAspire.Evaluator.Gate;

/// <summary>
/// Turns a run's figures into ship, block or inconclusive. Each rule adds a sentence; the strictest finding decides (block
/// before inconclusive before ship).
/// </summary>
public static class ReleaseGate
{
    /// <summary>The level of the test for "significantly worse", and of the one-sided bounds.</summary>
    public const double Alpha = 0.05;

    public static GateDecision Decide(
        GateSettings gate, IReadOnlyList<CaseReport> cases, VariantSummary candidate, VariantSummary? baseline, ComparisonSummary? comparison)
    {
        ArgumentNullException.ThrowIfNull(gate);
        ArgumentNullException.ThrowIfNull(candidate);
        List<(Verdict Verdict, string Reason)> findings =
        [
            .. Errors(gate, candidate, baseline),
            .. Critical(cases),
            PassRate(gate, candidate),
            .. Cost(gate, cases),
            .. Latency(gate, candidate),
        ];
        if (comparison is not null)
            findings.Add(Compare(gate, comparison));

        var verdict = findings.Exists(f => f.Verdict == Verdict.Block) ? Verdict.Block
            : findings.Exists(f => f.Verdict == Verdict.Inconclusive) ? Verdict.Inconclusive
            : Verdict.Ship;
        // The findings that decided come first, in the order of the rules.
        return new GateDecision(verdict, [.. findings.OrderBy(f => f.Verdict == verdict ? 0 : 1).Select(f => f.Reason)]);
    }

    // A candidate that does not answer is not shippable whatever its answers are worth; a baseline that does not answer only
    // spoils the comparison.
    private static IEnumerable<(Verdict, string)> Errors(GateSettings gate, VariantSummary candidate, VariantSummary? baseline)
    {
        var allowed = Percent(gate.MaxErrorRate);
        if (candidate.ErrorRate > gate.MaxErrorRate)
            yield return (Verdict.Block, $"{Of(candidate)} ended in an error, more than the allowed {allowed}.");
        else if (candidate.Errors > 0)
            yield return (Verdict.Ship, $"{Of(candidate)} ended in an error, within the allowed {allowed}.");
        if (baseline?.ErrorRate > gate.MaxErrorRate)
            yield return (Verdict.Inconclusive, $"{Of(baseline)} ended in an error, so the comparison is not to be trusted.");

        static string Of(VariantSummary variant) => $"{variant.Errors} of {variant.Calls} calls to {variant.Model}";
    }

    private static IEnumerable<(Verdict, string)> Critical(IReadOnlyList<CaseReport> cases)
    {
        var critical = cases.Where(c => c.Critical).ToList();
        foreach (var one in critical.Where(c => c.Candidate.Failures > 0))
        {
            yield return (Verdict.Block, $"The critical case '{one.Id}' failed in {one.Candidate.Failures} of "
                + $"{one.Candidate.Repeats.Count} repeats; it must pass in every one.");
        }

        foreach (var one in critical.Where(c => c.Candidate is { Failures: 0, Errors: > 0 }))
        {
            yield return (Verdict.Inconclusive, $"The critical case '{one.Id}' could not be judged in {one.Candidate.Errors} of "
                + $"{one.Candidate.Repeats.Count} repeats.");
        }

        if (critical.Count > 0 && critical.TrueForAll(c => c.Candidate is { Failures: 0, Errors: 0 }))
            yield return (Verdict.Ship, $"All {critical.Count} critical cases passed in every repeat.");
    }

    private static (Verdict, string) PassRate(GateSettings gate, VariantSummary candidate)
    {
        if (candidate.Judged == 0)
            return (Verdict.Block, "No case could be judged.");
        var figures = $"{candidate.Model} passed {candidate.Passed} of {candidate.Judged} cases ({Percent(candidate.PassRate)}, 95 % interval "
            + $"{Percent(candidate.PassRateInterval.Low)} to {Percent(candidate.PassRateInterval.High)})";
        return candidate.PassRate > gate.PassRate
            ? (Verdict.Ship, $"{figures}, above the required {Percent(gate.PassRate)}.")
            : (Verdict.Block, $"{figures}; more than {Percent(gate.PassRate)} is required.");
    }

    private static IEnumerable<(Verdict, string)> Cost(GateSettings gate, IReadOnlyList<CaseReport> cases)
    {
        if (gate.MaxCostUsd is not { } cap)
            yield break;
        var dear = cases.Where(c => c.Candidate.CostUsd > cap).ToList();
        if (dear.Count > 0)
        {
            var worst = dear.MaxBy(c => c.Candidate.CostUsd)!;
            yield return (Verdict.Block, $"{dear.Count} cases cost more than ${cap} each; the dearest is '{worst.Id}' with ${worst.Candidate.CostUsd}.");
        }

        // Unknown is not free.
        if (cases.Any(c => c.Candidate is { Verdict: not CaseVerdict.Error, CostUsd: null }))
            yield return (Verdict.Inconclusive, "A cost limit is set, but the target did not tell the cost of every answer.");
    }

    private static IEnumerable<(Verdict, string)> Latency(GateSettings gate, VariantSummary candidate)
    {
        if (gate.P95LatencyMs is { } cap && candidate.P95LatencyMs is { } p95)
        {
            yield return p95 > cap
                ? (Verdict.Block, $"The 95th percentile of latency is {p95:0} ms, above the allowed {cap:0} ms.")
                : (Verdict.Ship, $"The 95th percentile of latency is {p95:0} ms, within the allowed {cap:0} ms.");
        }
    }

    private static (Verdict, string) Compare(GateSettings gate, ComparisonSummary comparison)
    {
        if (comparison.Cases == 0)
            return (Verdict.Inconclusive, "No case was judged for both variants, so they cannot be compared.");

        var flips = $"{comparison.Regressions.Count} regressions and {comparison.Fixes.Count} fixes against the baseline on {comparison.Cases} cases";
        var difference = $"mean score difference {Points(comparison.MeanScoreDifference)}, at worst {Points(comparison.DifferenceBounds.Low)} "
            + $"(one-sided 95 %, {comparison.BoundMethod})";
        if (comparison.PWorse < Alpha)
            return (Verdict.Block, $"Significantly worse: {flips} (exact McNemar, {P(comparison.PWorse)}).");
        if (comparison.DifferenceBounds.High < -gate.Margin)
            return (Verdict.Block, $"Worse than the margin of {Points(gate.Margin)} allows: {flips}, {difference}.");
        if (comparison.DifferenceBounds.Low > -gate.Margin)
            return (Verdict.Ship, $"No worse than the baseline within the margin of {Points(gate.Margin)}: {flips}, {difference}.");
        return (Verdict.Inconclusive, $"Not shown to be within {Points(gate.Margin)} of the baseline: {flips}, {difference}. More cases or repeats may tell.");
    }

    private static string Percent(double rate) => $"{rate * 100:0.#} %";

    internal static string P(double probability) => probability < 0.001 ? "p < 0.001" : $"p = {probability:0.000}";

    private static string Points(double difference) => $"{difference * 100:0.0} points";
}
