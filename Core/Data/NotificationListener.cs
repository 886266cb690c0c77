using Microsoft.Extensions.Hosting;
using Npgsql;

namespace AiAspire.Core.Data;

/// <summary>
/// Hears what is told with <c>NOTIFY</c> on one channel, over a connection of its own that is made anew when it is lost. What is told
/// meanwhile is not heard: there is always a poll or a time limit beneath.
/// </summary>
public abstract class NotificationListener(NpgsqlDataSource dataSource, string channel, TimeSpan reconnectDelay, TimeProvider time) : BackgroundService
{
    protected sealed override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        while (!stoppingToken.IsCancellationRequested)
        {
            try
            {
                await using var connection = await dataSource.OpenConnectionAsync(stoppingToken);
                connection.Notification += (_, notification) => Hear(notification.Payload);
                await using (var listen = new NpgsqlCommand($"LISTEN {channel}", connection))
                    await listen.ExecuteNonQueryAsync(stoppingToken);
                await StayAsync(connection, stoppingToken);
            }
            catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
            {
                return;
            }
            catch (Exception e)
            {
                Lost(e);
                await Task.Delay(reconnectDelay, time, stoppingToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
        }
    }

    /// <summary>Told of each notification, by whoever waits on the connection.</summary>
    protected abstract void Hear(string payload);

    /// <summary>Begins when the channel is listened to, with what may have been missed until then; waits on the connection until it is lost.</summary>
    protected abstract Task StayAsync(NpgsqlConnection connection, CancellationToken stoppingToken);

    /// <summary>The connection is lost.</summary>
    protected abstract void Lost(Exception exception);
}
