using System.Text.Json.Nodes;
using AiAspire.Core.Batches;
using AiAspire.Core.Conversations;
using AiAspire.Core.Files;
using AiAspire.Core.Jobs;
using Quartz;

namespace AiAspire.Workers.Schedules;

/// <summary>
/// CONV-04, PRIV-06: conversations, jobs with their results, events and parts, files and batches past retention go. Once across replicas; a run that
/// is cut goes on at the next firing.
/// </summary>
[DisallowConcurrentExecution]
internal sealed partial class RetentionJob(Retention retention, JobRetention jobs, FileRetention files, BatchRetention batches, ILogger<RetentionJob> logger) : IJob
{
    public static readonly JobKey Key = new("conversation-retention");

    public async ValueTask Execute(IJobExecutionContext context, CancellationToken cancellationToken = default)
    {
        var deleted = await retention.DeleteExpiredAsync(cancellationToken);
        foreach (var (tenant, count) in deleted)
            LogDeleted(logger, count, tenant);
        var ofJobs = await jobs.DeleteExpiredAsync(cancellationToken);
        context.Result = new JsonObject
        {
            ["jobs"] = ofJobs.Jobs,
            ["job_events"] = ofJobs.Events,
            ["job_parts"] = ofJobs.Parts,
            ["files"] = await files.DeleteExpiredAsync(cancellationToken),
            ["batches"] = await batches.DeleteExpiredAsync(cancellationToken),
            ["conversations"] = deleted.Values.Sum(),
            ["by_tenant"] = new JsonObject(deleted.Select(d => KeyValuePair.Create(d.Key.ToString(), (JsonNode?)d.Value))),
        };
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "Retention deleted {Count} conversations of tenant {Tenant}")]
    private static partial void LogDeleted(ILogger logger, long count, Guid tenant);
}
