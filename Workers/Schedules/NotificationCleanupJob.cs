using AiAspire.Core.Notifications;
using Microsoft.Extensions.Options;
using Quartz;

namespace AiAspire.Workers.Schedules;

/// <summary>Deletes notifications that were told long ago.</summary>
[DisallowConcurrentExecution]
internal sealed class NotificationCleanupJob(NotificationQueue queue, IOptions<NotificationOptions> options) : IJob
{
    public static readonly JobKey Key = new("notification-cleanup");

    public async ValueTask Execute(IJobExecutionContext context, CancellationToken cancellationToken = default)
        => await queue.DeleteOldAsync(options.Value.KeepDays, cancellationToken);
}
