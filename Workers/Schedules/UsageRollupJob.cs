using AiAspire.Core.Ledger;
using Quartz;

namespace AiAspire.Workers.Schedules;

/// <summary>Sums up what the ledger gained. A run that is cut leaves nothing half done; the next takes up from there.</summary>
[DisallowConcurrentExecution]
internal sealed class UsageRollupJob(UsageReports reports) : IJob
{
    public static readonly JobKey Key = new("usage-rollup");

    public async ValueTask Execute(IJobExecutionContext context, CancellationToken cancellationToken = default)
        => await reports.RollUpAsync(cancellationToken);
}
