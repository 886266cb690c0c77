using System.Text.Json.Nodes;
using AiAspire.Core.Routing;
using Quartz;

namespace AiAspire.Workers.Schedules;

/// <summary>Looks for provider keys that are due for rotation.</summary>
[DisallowConcurrentExecution]
internal sealed class KeyAgeJob(ProviderKeyAges ages) : IJob
{
    public static readonly JobKey Key = new("key-age");

    public async ValueTask Execute(IJobExecutionContext context, CancellationToken cancellationToken = default)
        => context.Result = new JsonObject { ["due"] = await ages.TellAsync(cancellationToken) };
}
