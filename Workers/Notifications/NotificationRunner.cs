using AiAspire.Core.Notifications;
using Microsoft.Extensions.Options;

namespace AiAspire.Workers.Notifications;

/// <summary>Delivers notifications for all tenants, on every replica.</summary>
internal sealed partial class NotificationRunner(
    NotificationSender sender, IOptions<NotificationOptions> options, TimeProvider time, ILogger<NotificationRunner> logger) : BackgroundService
{
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        var most = options.Value.Concurrency;
        var pause = TimeSpan.FromSeconds(options.Value.PollSeconds);
        var underWay = new HashSet<Task>();
        var look = Task.CompletedTask;
        while (!stoppingToken.IsCancellationRequested)
        {
            // One that ends makes room for the next: those that an endpoint holds until its time-out hold up no others.
            underWay.RemoveWhere(delivery => delivery.IsCompleted);
            if (underWay.Count < most)
                underWay.UnionWith((await ClaimAsync(most - underWay.Count, stoppingToken)).Select(d => DeliverAsync(d, stoppingToken)));
            if (look.IsCompleted)
                look = Task.Delay(pause, time, stoppingToken);
            await Task.WhenAny(underWay.Count < most ? underWay.Append(look) : underWay);
        }

        await Task.WhenAll(underWay);
    }

    private async Task<IReadOnlyList<ClaimedDelivery>> ClaimAsync(int limit, CancellationToken stoppingToken)
    {
        try
        {
            return await sender.ClaimAsync(limit, stoppingToken);
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            return [];
        }
        catch (Exception e)
        {
            // Whatever it is: thrown further it would stop the process, and the queue with it.
            LogUnclaimed(logger, e);
            return [];
        }
    }

    private async Task DeliverAsync(ClaimedDelivery delivery, CancellationToken stoppingToken)
    {
        try
        {
            await sender.DeliverAsync(delivery, stoppingToken);
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            // It comes again when its lease ends.
        }
        catch (Exception e)
        {
            LogUnwritten(logger, delivery.DeliveryId, e);
        }
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "The outbox of notifications could not be asked; trying again")]
    private static partial void LogUnclaimed(ILogger logger, Exception exception);

    [LoggerMessage(Level = LogLevel.Error, Message = "What became of delivery {Delivery} could not be written down; it is made again when its lease ends")]
    private static partial void LogUnwritten(ILogger logger, Guid delivery, Exception exception);
}
