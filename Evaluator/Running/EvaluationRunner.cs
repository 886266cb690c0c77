using System.Collections.Concurrent;
using System.Reflection;
using AiAspire.Evaluator.Gate;
using AiAspire.Evaluator.Reports;
using AiAspire.Evaluator.Scoring;
using AiAspire.Evaluator.Suites;
using AiAspire.Evaluator.Targets;

namespace AiAspire.Evaluator.Running;

/// <summary>What to run; where null, the suite decides.</summary>
public sealed record EvaluationPlan
{
    public required string Candidate { get; init; }

    public string? Baseline { get; init; }

    public int? Repeats { get; init; }

    /// <summary>Calls under way at once, judges not counted. Default 4.</summary>
    public int Parallelism { get; init; } = 4;

    public string? JudgeModel { get; init; }

    /// <summary>For the report.</summary>
    public required string Target { get; init; }
}

/// <summary>How far a run is.</summary>
public sealed record RunProgress(int Done, int Total);

/// <summary>
/// Runs a suite: candidate and baseline interleaved on the same cases, so that a slow quarter of an hour hits both, every
/// repeat a call of its own.
/// </summary>
internal sealed class EvaluationRunner(TimeProvider time)
{
    private static readonly string Version =
        typeof(EvaluationRunner).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? "0.0.0";

    /// <exception cref="TargetException">The target is away or refuses us.</exception>
    public async Task<EvaluationReport> RunAsync(
        EvaluationSuite suite, EvaluationPlan plan, IModelClient client, IProgress<RunProgress>? progress, CancellationToken cancellationToken)
    {
        await client.CheckAsync(cancellationToken);
        var startedAt = time.GetUtcNow();
        var started = time.GetTimestamp();
        var repeats = plan.Repeats ?? suite.Defaults.Repeats;
        var judgeModel = plan.JudgeModel ?? suite.Defaults.JudgeModel;
        var calls = Interleave(suite, plan, repeats);
        var results = new ConcurrentDictionary<(string Case, bool IsBaseline, int Repeat), RepeatReport>();
        var done = 0;

        await Parallel.ForEachAsync(
            calls,
            new ParallelOptions { MaxDegreeOfParallelism = plan.Parallelism, CancellationToken = cancellationToken },
            async (call, token) =>
            {
                using var activity = EvaluationTelemetry.Start(suite, call);
                var report = await RunOneAsync(call, client, judgeModel, suite.Defaults.EmbeddingModel, token);
                EvaluationTelemetry.Record(activity, call, report);
                results[(call.Case.Id, call.IsBaseline, call.Repeat)] = report;
                progress?.Report(new RunProgress(Interlocked.Increment(ref done), calls.Count));
            });

        var cases = suite.Cases.Select(c => new CaseReport
        {
            Id = c.Id,
            Tags = c.Tags,
            Critical = c.Critical,
            Candidate = Outcome(c, isBaseline: false),
            Baseline = plan.Baseline is null ? null : Outcome(c, isBaseline: true),
        }).ToList();
        var candidate = RunSummary.Variant(plan.Candidate, cases.ConvertAll(c => c.Candidate));
        var baseline = plan.Baseline is null ? null : RunSummary.Variant(plan.Baseline, cases.ConvertAll(c => c.Baseline!));
        var comparison = plan.Baseline is null ? null : RunSummary.Compare(cases.ConvertAll(c => (c.Id, c.Candidate, c.Baseline!)));
        return new EvaluationReport
        {
            Suite = suite.Name,
            Feature = suite.Feature,
            Candidate = plan.Candidate,
            Baseline = plan.Baseline,
            Repeats = repeats,
            StartedAt = startedAt,
            DurationSeconds = time.GetElapsedTime(started).TotalSeconds,
            Versions = Versions(suite, plan, cases, judgeModel),
            Gate = suite.Gate,
            CandidateSummary = candidate,
            BaselineSummary = baseline,
            Comparison = comparison,
            Decision = ReleaseGate.Decide(suite.Gate, cases, candidate, baseline, comparison),
            Cases = cases,
        };

        CaseOutcome Outcome(SuiteCase c, bool isBaseline) =>
            RunSummary.Case([.. Enumerable.Range(1, repeats).Select(repeat => results[(c.Id, isBaseline, repeat)])]);
    }

    // Who goes first alternates, so that neither variant always meets the warmer target.
    private static List<EvaluationCall> Interleave(EvaluationSuite suite, EvaluationPlan plan, int repeats)
    {
        var calls = new List<EvaluationCall>();
        for (var repeat = 1; repeat <= repeats; repeat++)
        {
            for (var i = 0; i < suite.Cases.Count; i++)
            {
                var candidate = new EvaluationCall(suite.Cases[i], plan.Candidate, IsBaseline: false, repeat);
                var baseline = plan.Baseline is { } model ? new EvaluationCall(suite.Cases[i], model, IsBaseline: true, repeat) : null;
                var baselineFirst = (i + repeat) % 2 == 0;
                if (baseline is not null && baselineFirst)
                    calls.Add(baseline);
                calls.Add(candidate);
                if (baseline is not null && !baselineFirst)
                    calls.Add(baseline);
            }
        }

        return calls;
    }

    private static async Task<RepeatReport> RunOneAsync(
        EvaluationCall call, IModelClient client, string? judgeModel, string? embeddingModel, CancellationToken cancellationToken)
    {
        ChatReply? reply = null;
        try
        {
            reply = await client.ChatAsync(call.Model, call.Case.Request, cancellationToken);
            var context = new ScoringContext(call.Case, reply, client, judgeModel, embeddingModel);
            var results = new List<ScorerResult>(call.Case.Scorers.Count);
            foreach (var (scorer, weight) in call.Case.Scorers)
                results.Add(await scorer.ScoreAsync(context, cancellationToken) with { Weight = weight });
            return new RepeatReport
            {
                Repeat = call.Repeat,
                Pass = results.TrueForAll(r => r.Pass || r.Weight == 0),
                Score = results.Sum(r => r.Score * r.Weight) / results.Sum(r => r.Weight),
                Reply = reply,
                Scorers = results,
            };
        }
        catch (ModelCallException problem)
        {
            return new RepeatReport { Repeat = call.Repeat, Error = problem.Message, Reply = reply };
        }
    }

    private static ReportVersions Versions(EvaluationSuite suite, EvaluationPlan plan, List<CaseReport> cases, string? judgeModel)
    {
        var repeats = cases.SelectMany(c => c.Candidate.Repeats.Concat(c.Baseline?.Repeats ?? [])).ToList();
        var judge = repeats.SelectMany(r => r.Scorers).FirstOrDefault(s => s.JudgeVersion is not null)?.JudgeVersion;
        return new ReportVersions
        {
            Evaluator = Version,
            SuiteHash = suite.Hash,
            PromptsHash = suite.PromptsHash,
            Target = plan.Target,
            JudgePrompt = judge,
            JudgeModel = judge is null ? null : judgeModel,
            EmbeddingModel = suite.Defaults.EmbeddingModel,
            AnsweredBy = [.. repeats.Select(r => r.Reply?.Model).OfType<string>().Distinct().Order(StringComparer.Ordinal)],
        };
    }
}

/// <summary>One question to one variant.</summary>
internal sealed record EvaluationCall(SuiteCase Case, string Model, bool IsBaseline, int Repeat);
