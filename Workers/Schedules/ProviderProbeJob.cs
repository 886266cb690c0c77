using AiAspire.Core.Routing;
using Quartz;

namespace AiAspire.Workers.Schedules;

/// <summary>PROV-08: asks every provider whether it is there, so that its uptime is measured also when nobody calls.</summary>
[DisallowConcurrentExecution]
internal sealed class ProviderProbeJob(ProviderProbes probes) : IJob
{
    public static readonly JobKey Key = new("provider-probes");

    public async ValueTask Execute(IJobExecutionContext context, CancellationToken cancellationToken = default)
        => await probes.RunAsync(cancellationToken);
}
