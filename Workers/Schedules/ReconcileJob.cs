using AiAspire.Core.Ledger;
using AiAspire.Core.Limits;
using Quartz;

namespace AiAspire.Workers.Schedules;

/// <summary>
/// Closes attempts that dead processes left open. What they cost at the estimate is in no counter, and what they had reserved is still held:
/// the counters are built anew from the ledger.
/// </summary>
[DisallowConcurrentExecution]
internal sealed class ReconcileJob(Reconciler reconciler, CounterGenerations counters) : IJob
{
    public static readonly JobKey Key = new("ledger-reconciliation");

    public async ValueTask Execute(IJobExecutionContext context, CancellationToken cancellationToken = default)
    {
        if (await reconciler.RunAsync(cancellationToken) > 0)
            await counters.RenewAsync(cancellationToken);
    }
}
