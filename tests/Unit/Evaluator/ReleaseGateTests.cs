using AiAspire.Evaluator.Gate;
using AiAspire.Evaluator.Reports;
using AiAspire.Evaluator.Running;
using AiAspire.Evaluator.Targets;

namespace AiAspire.Unit.Evaluator;

public sealed class ReleaseGateTests
{
    private static readonly GateSettings Gate = new() { MaxErrorRate = 0.1 };

    [Theory]
    [InlineData(41, 50, Verdict.Ship)]
    [InlineData(40, 50, Verdict.Block)]
    [InlineData(8, 10, Verdict.Block)]
    [InlineData(9, 10, Verdict.Ship)]
    [Trait("Checklist", "EVAL-05")]
    public void More_than_80_percent_must_pass(int passed, int cases, Verdict expected) =>
        Assert.Equal(expected, Decide(Enumerable.Range(0, cases).Select(i => Case(i, i < passed ? "ppp" : "fff"))).Verdict);

    [Theory]
    // 42 cases: nothing flips; three regressions; five regressions; the candidate repairs the baseline.
    [InlineData(42, 0, 0, Verdict.Ship)]
    [InlineData(42, 1, 0, Verdict.Ship)]
    [InlineData(42, 3, 0, Verdict.Inconclusive)]
    [InlineData(42, 5, 0, Verdict.Block)]
    [InlineData(42, 0, 13, Verdict.Ship)]
    // Too few cases to show anything within 10 points, though nothing flipped: the exact bound says so.
    [InlineData(20, 0, 0, Verdict.Inconclusive)]
    [Trait("Checklist", "EVAL-04")]
    public void Candidate_and_baseline_are_compared_case_by_case(int cases, int regressions, int fixes, Verdict expected)
    {
        var decision = Decide(Enumerable.Range(0, cases).Select(i =>
            i < regressions ? Case(i, "fff", "ppp") : i < regressions + fixes ? Case(i, "ppp", "fff") : Case(i, "ppp", "ppp")));

        Assert.Equal(expected, decision.Verdict);
    }

    [Fact]
    public void The_majority_of_the_repeats_decides_a_case_and_a_tie_fails()
    {
        Assert.Equal(CaseVerdict.Pass, Outcome("ppf").Verdict);
        Assert.True(Outcome("ppf").Flaky);
        Assert.Equal(CaseVerdict.Fail, Outcome("pf").Verdict);
        Assert.Equal(CaseVerdict.Pass, Outcome("pe").Verdict);
        Assert.Equal(CaseVerdict.Error, Outcome("ee").Verdict);
    }

    [Fact]
    public void One_failed_repeat_of_a_critical_case_blocks_and_an_unjudged_one_leaves_it_open()
    {
        var others = Enumerable.Range(1, 20).Select(i => Case(i, "ppp")).ToList();

        Assert.Equal(Verdict.Block, Decide([Case(0, "ppf", critical: true), .. others]).Verdict);
        Assert.Equal(Verdict.Inconclusive, Decide([Case(0, "ppe", critical: true), .. others]).Verdict);
        Assert.Equal(Verdict.Ship, Decide([Case(0, "ppp", critical: true), .. others]).Verdict);
    }

    [Fact]
    public void Errors_are_not_failures_but_are_capped()
    {
        var few = Decide([Case(0, "eee"), .. Enumerable.Range(1, 20).Select(i => Case(i, "ppp"))]);
        var many = Decide([.. Enumerable.Range(0, 5).Select(i => Case(i, "eee")), .. Enumerable.Range(5, 20).Select(i => Case(i, "ppp"))]);
        var baseline = Decide([.. Enumerable.Range(0, 5).Select(i => Case(i, "ppp", "eee")), .. Enumerable.Range(5, 40).Select(i => Case(i, "ppp", "ppp"))]);

        Assert.Equal(Verdict.Ship, few.Verdict);
        Assert.Contains(few.Reasons, r => r.Contains("passed 20 of 20", StringComparison.Ordinal));
        Assert.Equal(Verdict.Block, many.Verdict);
        Assert.Equal(Verdict.Inconclusive, baseline.Verdict);
        Assert.Equal(Verdict.Block, Decide([Case(0, "eee")]).Verdict);
    }

    [Fact]
    [Trait("Checklist", "EVAL-08")]
    public void A_dear_case_blocks_and_an_unknown_cost_is_not_free()
    {
        var capped = Gate with { MaxCostUsd = 0.01m };

        Assert.Equal(Verdict.Ship, Decide([Case(0, "ppp", cost: 0.01m)], capped).Verdict);
        Assert.Equal(Verdict.Block, Decide([Case(0, "ppp", cost: 0.02m)], capped).Verdict);
        Assert.Equal(Verdict.Inconclusive, Decide([Case(0, "ppp", cost: null)], capped).Verdict);
    }

    [Fact]
    public void Slow_answers_block_where_a_limit_is_set() =>
        Assert.Equal(Verdict.Block, Decide([Case(0, "ppp")], Gate with { P95LatencyMs = 5 }).Verdict);

    private static GateDecision Decide(IEnumerable<CaseReport> reports, GateSettings? gate = null)
    {
        var cases = reports.ToList();
        var candidate = RunSummary.Variant("new", cases.ConvertAll(c => c.Candidate));
        var compared = cases.TrueForAll(c => c.Baseline is not null);
        var baseline = compared ? RunSummary.Variant("old", cases.ConvertAll(c => c.Baseline!)) : null;
        var comparison = compared ? RunSummary.Compare(cases.ConvertAll(c => (c.Id, c.Candidate, c.Baseline!))) : null;
        return ReleaseGate.Decide(gate ?? Gate, cases, candidate, baseline, comparison);
    }

    private static CaseReport Case(int number, string repeats, string? baseline = null, bool critical = false, decimal? cost = 0.001m) => new()
    {
        Id = $"case-{number}",
        Tags = [],
        Critical = critical,
        Candidate = Outcome(repeats, cost),
        Baseline = baseline is null ? null : Outcome(baseline, cost),
    };

    // One letter per repeat: p(assed), f(ailed), e(rror).
    private static CaseOutcome Outcome(string repeats, decimal? cost = 0.001m) => RunSummary.Case([.. repeats.Select((letter, i) => letter == 'e'
        ? new RepeatReport { Repeat = i + 1, Error = "503" }
        : new RepeatReport { Repeat = i + 1, Pass = letter == 'p', Score = letter == 'p' ? 1 : 0, Reply = new ChatReply { CostUsd = cost, LatencyMs = 10 } })]);
}
