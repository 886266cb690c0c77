using AiAspire.Core.Ledger;
using AiAspire.Core.Limits;
using Quartz;

namespace AiAspire.Workers.Schedules;

/// <summary>Closes attempts that dead processes left open, and has the counters follow.</summary>
[DisallowConcurrentExecution]
internal sealed class ReconcileJob(Reconciler reconciler, LimitGuard counters) : IJob
{
    public static readonly JobKey Key = new("ledger-reconciliation");

    public async ValueTask Execute(IJobExecutionContext context, CancellationToken cancellationToken = default)
    {
        await reconciler.RunAsync(cancellationToken);
        // What could not be counted, now or at an earlier run: no reservation may come to this process that would do it.
        await counters.CatchUpAsync(cancellationToken);
    }
}
