using AiAspire.Core.Ledger;
using Quartz;

namespace AiAspire.Workers.Schedules;

/// <summary>Closes attempts that dead processes left open.</summary>
[DisallowConcurrentExecution]
internal sealed class ReconcileJob(Reconciler reconciler) : IJob
{
    public static readonly JobKey Key = new("ledger-reconciliation");

    public async ValueTask Execute(IJobExecutionContext context, CancellationToken cancellationToken = default)
        => await reconciler.RunAsync(cancellationToken);
}
