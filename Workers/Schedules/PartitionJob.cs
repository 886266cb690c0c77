using System.Text.Json.Nodes;
using AiAspire.Core.Data;
using Quartz;

namespace AiAspire.Workers.Schedules;

/// <summary>Keeps a year of partitions ahead of the time, also where nothing is deployed for a year, and drops empty old ones.</summary>
[DisallowConcurrentExecution]
internal sealed class PartitionJob(Partitions partitions) : IJob
{
    public static readonly JobKey Key = new("partitions");

    public async ValueTask Execute(IJobExecutionContext context, CancellationToken cancellationToken = default)
    {
        var (made, dropped) = await partitions.EnsureAsync(cancellationToken);
        context.Result = new JsonObject { ["made"] = made, ["dropped"] = dropped };
    }
}
