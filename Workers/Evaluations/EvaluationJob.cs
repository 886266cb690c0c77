using System.Text.Json.Nodes;
using AiAspire.Core.Data;
using AiAspire.Core.Notifications;
using Quartz;

namespace AiAspire.Workers.Evaluations;

/// <summary>
/// The configured evaluation, by the clock. A verdict is an outcome, not a failure of the run; one that blocks is told to the operators, once
/// for each evaluation.
/// </summary>
[DisallowConcurrentExecution]
internal sealed class EvaluationJob(
    ScheduledEvaluation evaluation, ScheduledEvaluationOptions options, TenantSessions sessions, NotificationOutbox outbox) : IJob
{
    public static readonly JobKey Key = new("evaluation");

    public async ValueTask Execute(IJobExecutionContext context, CancellationToken cancellationToken = default)
    {
        if (!options.Enabled)
        {
            // The scheduler's tables remember it from when it was configured.
            await context.Scheduler.DeleteJob(Key, cancellationToken);
            return;
        }

        var outcome = await evaluation.RunAsync(cancellationToken);
        context.Result = outcome;
        if (outcome["verdict"]!.GetValue<string>() == "block")
            await TellAsync(outcome);
    }

    private Task TellAsync(JsonObject outcome)
    {
        var draft = new NotificationDraft(
            $"evaluation:{outcome["evaluation"]}", NotificationTopics.Incident, $"The evaluation '{outcome["suite"]}' of {outcome["model"]} says: block",
            $"{outcome["passed"]} of {outcome["judged"]} cases passed. {string.Join(' ', outcome["reasons"]!.AsArray())} The Evaluator has the report {outcome["evaluation"]}.")
        {
            Data = (JsonObject)outcome.DeepClone(),
        };
        return sessions.Open(TenantScope.Platform).RunAsync((db, token) => outbox.SendAsync(db, draft, token), CancellationToken.None);
    }
}
