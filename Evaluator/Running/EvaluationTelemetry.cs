using System.Diagnostics;
using AiAspire.Evaluator.Reports;
using AiAspire.Evaluator.Suites;

namespace AiAspire.Evaluator.Running;

/// <summary>
/// Scores as span events <c>gen_ai.evaluation.result</c> (OpenTelemetry semantic conventions for generative AI, events),
/// which dashboards show beside the trace of the answer. The texts are the suite's own, never a user's; replies stay out.
/// </summary>
internal static class EvaluationTelemetry
{
    private const string EventName = "gen_ai.evaluation.result";
    private static readonly ActivitySource Source = new("AiAspire.Evaluator");

    /// <summary>The span under which the call and its judging happen; null when nobody records.</summary>
    public static Activity? Start(EvaluationSuite suite, EvaluationCall call) =>
        Source.StartActivity($"evaluate {suite.Name}")?
            .SetTag("gen_ai.request.model", call.Model)
            .SetTag("aiaspire.evaluation.suite", suite.Name)
            .SetTag("aiaspire.evaluation.case", call.Case.Id)
            .SetTag("aiaspire.evaluation.repeat", call.Repeat);

    public static void Record(Activity? activity, EvaluationCall call, RepeatReport report)
    {
        if (activity is null)
            return;
        if (report.Error is { } error)
        {
            activity.SetStatus(ActivityStatusCode.Error, error);
            return;
        }

        foreach (var result in report.Scorers)
            activity.AddEvent(Event(result.Scorer, result.Score, result.Pass, report.Reply?.ResponseId));
        activity.AddEvent(Event(call.Case.Id, report.Score ?? 0, report.Pass == true, report.Reply?.ResponseId));
    }

    private static ActivityEvent Event(string name, double score, bool pass, string? responseId)
    {
        var tags = new ActivityTagsCollection
        {
            ["gen_ai.evaluation.name"] = name,
            ["gen_ai.evaluation.score.value"] = score,
            ["gen_ai.evaluation.score.label"] = pass ? "pass" : "fail",
        };
        if (responseId is not null)
            tags["gen_ai.response.id"] = responseId;
        return new ActivityEvent(EventName, tags: tags);
    }
}
