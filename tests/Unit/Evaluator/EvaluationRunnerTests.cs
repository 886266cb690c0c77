using System.Diagnostics;
using System.Text.Json.Nodes;
using System.Xml.Linq;
using AiAspire.Evaluator.Gate;
using AiAspire.Evaluator.Reports;
using AiAspire.Evaluator.Running;
using AiAspire.Evaluator.Suites;
using AiAspire.Evaluator.Targets;

namespace AiAspire.Unit.Evaluator;

public sealed class EvaluationRunnerTests
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    [Trait("Checklist", "EVAL-04")]
    [Trait("Checklist", "EVAL-08")]
    public async Task Runs_both_variants_interleaved_and_ships_the_better_one()
    {
        await using var stub = await StubOpenAi.StartAsync((body, _) => StubAnswer.Says(Right(body) ? "forty-two" : "a guess", 0.001m));

        var report = await RunAsync(stub, Suite(40), "good", "poor");

        Assert.Equal(Verdict.Ship, report.Decision.Verdict);
        Assert.Equal(40, report.CandidateSummary.Passed);
        Assert.Equal(20, report.BaselineSummary!.Passed);
        Assert.Equal(20, report.Comparison!.Fixes.Count);
        Assert.Equal(0.12m, report.CandidateSummary.CostUsd);
        Assert.All(report.Cases, c => Assert.Equal(0.001m, c.Candidate.CostUsd));
        Assert.Equal(240, stub.Received.Count);
        // Neither variant has all its calls before the other.
        var models = stub.Received.Select(r => (string?)r.Body["model"]).Take(20).ToList();
        Assert.Contains("good", models);
        Assert.Contains("poor", models);
        Assert.Equal(["stub-2026-01-01"], report.Versions.AnsweredBy);
    }

    [Fact]
    [Trait("Checklist", "EVAL-05")]
    public async Task Blocks_the_worse_one()
    {
        await using var stub = await StubOpenAi.StartAsync((body, _) => StubAnswer.Says(Right(body) ? "forty-two" : "a guess"));

        var report = await RunAsync(stub, Suite(40), "poor", "good");

        Assert.Equal(Verdict.Block, report.Decision.Verdict);
        Assert.Equal(20, report.Comparison!.Regressions.Count);
        Assert.Null(report.CandidateSummary.CostUsd);
        Assert.Contains(report.Decision.Reasons, r => r.StartsWith("Significantly worse", StringComparison.Ordinal));
    }

    [Fact]
    public async Task What_cannot_be_asked_is_an_error_and_not_a_failure()
    {
        await using var stub = await StubOpenAi.StartAsync((body, _) => Question(body).EndsWith("-3", StringComparison.Ordinal)
            ? StubAnswer.Fails(400, "invalid_value")
            : StubAnswer.Says("forty-two"));

        var report = await RunAsync(stub, Suite(40), "good", null);

        Assert.Equal(39, report.CandidateSummary.Judged);
        Assert.Equal(39, report.CandidateSummary.Passed);
        Assert.Equal(3, report.CandidateSummary.Errors);
        var broken = Assert.Single(report.Cases, c => c.Candidate.Verdict == CaseVerdict.Error);
        Assert.Equal("case-3", broken.Id);
        Assert.Contains("400 invalid_value", broken.Candidate.Repeats[0].Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_refusing_target_ends_the_run()
    {
        await using var stub = await StubOpenAi.StartAsync((_, _) => StubAnswer.Fails(404, "model_not_found"));

        await Assert.ThrowsAsync<TargetException>(() => RunAsync(stub, Suite(3), "nobody", null));
    }

    [Fact]
    public async Task JUnit_has_one_testcase_per_case_with_failures_and_errors_apart()
    {
        await using var stub = await StubOpenAi.StartAsync((body, _) => Question(body)[^1] switch
        {
            '1' => StubAnswer.Says("wrong \u0001 \uD800 <&>"),
            '2' => StubAnswer.Fails(400, "invalid_value"),
            _ => StubAnswer.Says("forty-two"),
        });
        var report = await RunAsync(stub, Suite(3), "good", null);

        var suite = XDocument.Parse(JUnitReport.Render(report)).Root!.Element("testsuite")!;

        Assert.Equal(("3", "1", "1"), ((string?)suite.Attribute("tests"), (string?)suite.Attribute("failures"), (string?)suite.Attribute("errors")));
        var cases = suite.Elements("testcase").ToList();
        Assert.Equal(["case-0", "case-1", "case-2"], cases.Select(c => (string?)c.Attribute("name")));
        Assert.All(cases, c => Assert.Equal("demo.good", (string?)c.Attribute("classname")));
        Assert.Empty(cases[0].Elements());
        Assert.Contains("icontains", cases[1].Element("failure")!.Value, StringComparison.Ordinal);
        Assert.Contains("invalid_value", cases[2].Element("error")!.Value, StringComparison.Ordinal);
        Assert.Contains(suite.Descendants("property"), p => (string?)p.Attribute("name") == "verdict" && (string?)p.Attribute("value") == "block");
    }

    [Fact]
    public async Task A_report_survives_its_file()
    {
        await using var stub = await StubOpenAi.StartAsync((body, _) => StubAnswer.Says(Right(body) ? "forty-two" : "a guess", 0.001m));
        var report = await RunAsync(stub, Suite(4), "poor", "good");
        var path = Path.Combine(Path.GetTempPath(), Path.GetRandomFileName());

        await ReportJson.WriteAsync(report, path, Cancellation);
        var read = await ReportJson.ReadAsync(path, Cancellation);
        File.Delete(path);

        Assert.Equal(report.Decision.Reasons, read.Decision.Reasons);
        Assert.Equal(report.CandidateSummary, read.CandidateSummary);
        Assert.Equal(report.Cases[1].Candidate.Repeats[0].Reply!.Content, read.Cases[1].Candidate.Repeats[0].Reply!.Content);
        Assert.Equal(report.Comparison!.Regressions, read.Comparison!.Regressions);
    }

    [Fact]
    public async Task Scores_become_span_events()
    {
        var recorded = new List<Activity>();
        using var listener = new ActivityListener
        {
            ShouldListenTo = source => source.Name == "AiAspire.Evaluator",
            Sample = (ref ActivityCreationOptions<ActivityContext> _) => ActivitySamplingResult.AllData,
            ActivityStopped = activity =>
            {
                lock (recorded)
                    recorded.Add(activity);
            },
        };
        ActivitySource.AddActivityListener(listener);
        await using var stub = await StubOpenAi.StartAsync((_, _) => StubAnswer.Says("forty-two"));

        await RunAsync(stub, Suite(1, name: "telemetry"), "good", null);

        var spans = recorded.Where(a => a.DisplayName == "evaluate telemetry").ToList();
        Assert.Equal(3, spans.Count);
        var result = spans[0].Events.First(e => e.Name == "gen_ai.evaluation.result").Tags.ToDictionary();
        Assert.Equal("icontains", result["gen_ai.evaluation.name"]);
        Assert.Equal(1.0, result["gen_ai.evaluation.score.value"]);
        Assert.Equal("pass", result["gen_ai.evaluation.score.label"]);
        Assert.Equal("chatcmpl-1", result["gen_ai.response.id"]);
    }

    private static Task<EvaluationReport> RunAsync(StubOpenAi stub, EvaluationSuite suite, string candidate, string? baseline)
    {
        var client = new OpenAiClient(stub.CreateClient(), TargetAddress.Of(stub.Url, null), suite.Feature, TimeProvider.System, new Random(1));
        var plan = new EvaluationPlan { Candidate = candidate, Baseline = baseline, Target = stub.Url };
        return new EvaluationRunner(TimeProvider.System).RunAsync(suite, plan, client, progress: null, Cancellation);
    }

    private static EvaluationSuite Suite(int cases, string name = "demo") => SuiteReader.Read(
        $"name: {name}\ngate: {{ max_error_rate: 0.1 }}\ncases:\n" + string.Concat(Enumerable.Range(0, cases).Select(i =>
            $"  - {{ id: case-{i}, user: question-{i}, scorers: [{{ type: icontains, value: forty-two }}] }}\n")),
        "demo.yaml");

    private static string Question(JsonObject body) => (string)body["messages"]!.AsArray()[^1]!["content"]!;

    // The poor model knows every second answer.
    private static bool Right(JsonObject body) =>
        (string?)body["model"] == "good" || int.Parse(Question(body).Split('-')[1], System.Globalization.CultureInfo.InvariantCulture) % 2 == 0;
}
