using AiAspire.Core.Idempotency;
using Quartz;

namespace AiAspire.Workers.Schedules;

/// <summary>Deletes stored answers whose day is over.</summary>
[DisallowConcurrentExecution]
internal sealed class IdempotencyCleanupJob(IdempotencyStore store) : IJob
{
    public static readonly JobKey Key = new("idempotency-cleanup");

    public async ValueTask Execute(IJobExecutionContext context, CancellationToken cancellationToken = default)
        => await store.DeleteExpiredAsync(cancellationToken);
}
