using AiAspire.Evaluator.Reports;
using AiAspire.Evaluator.Statistics;

namespace AiAspire.Evaluator.Running;

/// <summary>From repeats to cases, from cases to figures. Pure.</summary>
internal static class RunSummary
{
    // Any fixed number will do; it makes a report reproducible from its own cases.
    private const int BootstrapSeed = 20_260_101;

    public static CaseOutcome Case(IReadOnlyList<RepeatReport> repeats)
    {
        var passes = repeats.Count(r => r.Pass == true);
        var failures = repeats.Count(r => r.Pass == false);
        var answered = repeats.Where(r => r.Reply is not null).ToList();
        return new CaseOutcome
        {
            // A tie fails: half is no majority.
            Verdict = passes + failures == 0 ? CaseVerdict.Error : passes > failures ? CaseVerdict.Pass : CaseVerdict.Fail,
            Score = repeats.Average(r => r.Score),
            Passes = passes,
            Failures = failures,
            Errors = repeats.Count - passes - failures,
            CostUsd = answered.Count > 0 && answered.TrueForAll(r => r.Reply!.CostUsd is not null) ? answered.Average(r => r.Reply!.CostUsd!.Value) : null,
            LatencyMs = answered.Count > 0 ? answered.Average(r => r.Reply!.LatencyMs) : null,
            Repeats = repeats,
        };
    }

    public static VariantSummary Variant(string model, IReadOnlyList<CaseOutcome> outcomes)
    {
        var judged = outcomes.Where(o => o.Verdict != CaseVerdict.Error).ToList();
        var passed = judged.Count(o => o.Verdict == CaseVerdict.Pass);
        var repeats = outcomes.SelectMany(o => o.Repeats).ToList();
        var replies = repeats.Where(r => r.Reply is not null).Select(r => r.Reply!).ToList();
        var paidScorers = repeats.SelectMany(r => r.Scorers).Where(s => s.Scorer is "judge" or "similarity").ToList();
        var latencies = replies.Select(r => r.LatencyMs).Order().ToList();
        return new VariantSummary
        {
            Model = model,
            Judged = judged.Count,
            Passed = passed,
            PassRateInterval = ProportionInterval.Wilson(passed, judged.Count),
            MeanScore = judged.Count == 0 ? 0 : judged.Average(o => o.Score!.Value),
            Calls = repeats.Count,
            Errors = outcomes.Sum(o => o.Errors),
            CostUsd = Sum(replies.Select(r => r.CostUsd)),
            JudgingCostUsd = Sum(paidScorers.Select(s => s.CostUsd)),
            P50LatencyMs = Percentile(latencies, 0.50),
            P95LatencyMs = Percentile(latencies, 0.95),
        };
    }

    public static ComparisonSummary Compare(IReadOnlyList<(string Id, CaseOutcome Candidate, CaseOutcome Baseline)> pairs)
    {
        var judged = pairs.Where(p => p.Candidate.Verdict != CaseVerdict.Error && p.Baseline.Verdict != CaseVerdict.Error).ToList();
        List<string> regressions = [.. judged.Where(p => p is { Candidate.Verdict: CaseVerdict.Fail, Baseline.Verdict: CaseVerdict.Pass }).Select(p => p.Id)];
        List<string> fixes = [.. judged.Where(p => p is { Candidate.Verdict: CaseVerdict.Pass, Baseline.Verdict: CaseVerdict.Fail }).Select(p => p.Id)];
        var differences = judged.ConvertAll(p => p.Candidate.Score!.Value - p.Baseline.Score!.Value);
        var flipped = regressions.Count + fixes.Count > 0;
        return new ComparisonSummary
        {
            Cases = judged.Count,
            Regressions = regressions,
            Fixes = fixes,
            PWorse = McNemarTest.OneSided(regressions.Count, fixes.Count),
            PDifferent = McNemarTest.TwoSided(regressions.Count, fixes.Count),
            MeanScoreDifference = differences.Count == 0 ? 0 : differences.Average(),
            DifferenceBounds = Bounds(differences, flipped),
            BoundMethod = flipped ? "bootstrap" : "exact",
        };
    }

    // Without a flip the bootstrap has seen no variation and would claim certainty. What n unchanged cases do show is that
    // regressions (or fixes) are rarer than the exact bound for 0 of n.
    private static Interval Bounds(List<double> differences, bool flipped)
    {
        if (differences.Count == 0)
            return new Interval(-1, 1);
        var bootstrap = PairedBootstrap.OfMean(differences, BootstrapSeed, Gate.ReleaseGate.Alpha);
        if (flipped)
            return bootstrap;
        var exact = ProportionInterval.UpperBound(0, differences.Count, Gate.ReleaseGate.Alpha);
        return new Interval(Math.Min(bootstrap.Low, -exact), Math.Max(bootstrap.High, exact));
    }

    private static decimal? Sum(IEnumerable<decimal?> costs)
    {
        decimal? sum = 0;
        foreach (var cost in costs)
            sum += cost;
        return sum;
    }

    // Nearest rank: a latency that was really measured.
    private static double? Percentile(List<double> sorted, double share) =>
        sorted.Count == 0 ? null : sorted[Math.Max(0, (int)Math.Ceiling(share * sorted.Count) - 1)];
}
