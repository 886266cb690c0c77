using AiAspire.Core.Notifications;
using Microsoft.Extensions.Options;
using Npgsql;

namespace AiAspire.Workers.Notifications;

/// <summary>Delivers notifications for all tenants, on every replica.</summary>
internal sealed partial class NotificationRunner(
    NotificationSender sender, IOptions<NotificationOptions> options, TimeProvider time, ILogger<NotificationRunner> logger) : BackgroundService
{
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        var pause = TimeSpan.FromSeconds(options.Value.PollSeconds);
        while (!stoppingToken.IsCancellationRequested)
        {
            var more = false;
            try
            {
                more = await sender.RunOnceAsync(stoppingToken) == options.Value.Concurrency;
            }
            catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
            {
                return;
            }
            catch (Exception e) when (e is NpgsqlException or TimeoutException or InvalidOperationException or System.Security.Cryptography.CryptographicException)
            {
                // What was claimed comes again when its lease ends.
                LogFailed(logger, e);
            }

            if (!more)
                await Task.Delay(pause, time, stoppingToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "Delivering notifications failed; it goes on")]
    private static partial void LogFailed(ILogger logger, Exception exception);
}
