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
                await CatchUpAsync(stoppingToken);
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

    /// <summary>Begins to be told. What was told before the channel was listened to was not heard: here a listener makes up for it.</summary>
    protected virtual Task CatchUpAsync(CancellationToken stoppingToken) => Task.CompletedTask;

    /// <summary>Waits on the connection until it is lost.</summary>
    protected virtual async Task StayAsync(NpgsqlConnection connection, CancellationToken stoppingToken)
    {
        while (true)
            await connection.WaitAsync(stoppingToken);
    }

    /// <summary>The connection is lost.</summary>
    protected abstract void Lost(Exception exception);
}
