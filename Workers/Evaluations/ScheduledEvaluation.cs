using System.Text.Json;
using System.Text.Json.Nodes;

namespace AiAspire.Workers.Evaluations;

/// <summary>Has the configured suite evaluated and waits for its end.</summary>
internal sealed class ScheduledEvaluation(EvaluatorClient evaluator, ScheduledEvaluationOptions options, TimeProvider time)
{
    /// <param name="stopping">Cancelled when the process stops. The evaluation goes on by itself, and the next run finds it.</param>
    /// <returns>Verdict and figures; no answers of models, which stay with the Evaluator.</returns>
    /// <exception cref="EvaluatorException">There is no verdict; the message says why.</exception>
    /// <exception cref="HttpRequestException">The Evaluator cannot be reached.</exception>
    public async Task<JsonObject> RunAsync(CancellationToken stopping)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromMinutes(options.TimeoutMinutes), time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, stopping);
        Evaluation? evaluation = null;
        try
        {
            evaluation = await evaluator.AskAsync(either.Token);
            while (!evaluation.IsOver)
            {
                await Task.Delay(TimeSpan.FromSeconds(options.PollSeconds), time, either.Token);
                evaluation = await evaluator.FindAsync(evaluation.Id, either.Token);
            }
        }
        catch (OperationCanceledException e) when (either.IsCancellationRequested)
        {
            var why = limit.IsCancellationRequested ? $"did not end within {options.TimeoutMinutes} minutes (Evaluations:TimeoutMinutes)" : "was left when this worker stopped";
            throw new EvaluatorException($"The evaluation {evaluation?.Id ?? $"of suite '{options.Suite}'"} {why}.", e);
        }

        return evaluation is { State: "completed", Report: { } report }
            ? Outcome(evaluation, report)
            : throw new EvaluatorException($"The evaluation {evaluation.Id} is {evaluation.State}: {evaluation.Error}");
    }

    private static JsonObject Outcome(Evaluation evaluation, JsonElement report)
    {
        var (summary, decision) = (report.GetProperty("candidate_summary"), report.GetProperty("decision"));
        return new JsonObject
        {
            ["evaluation"] = evaluation.Id,
            ["suite"] = evaluation.Suite,
            ["model"] = evaluation.Model,
            ["baseline"] = evaluation.Baseline,
            ["verdict"] = decision.GetProperty("verdict").GetString(),
            ["reasons"] = JsonNode.Parse(decision.GetProperty("reasons").GetRawText()),
            ["judged"] = summary.GetProperty("judged").GetInt32(),
            ["passed"] = summary.GetProperty("passed").GetInt32(),
            ["errors"] = summary.GetProperty("errors").GetInt32(),
            ["cost_usd"] = JsonNode.Parse(summary.GetProperty("cost_usd").GetRawText()),
        };
    }
}
