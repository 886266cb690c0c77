using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace AiAspire.Core.Encryption;

/// <summary>
/// Drops cached keys that another replica destroyed or rotated: <c>NOTIFY</c> of the key store's own database is the push, the
/// cache's time the limit beneath it.
/// </summary>
internal sealed partial class KeyChanges(NpgsqlDataSource keyStore, UserKeys userKeys, TimeProvider time, ILogger<KeyChanges> logger) : BackgroundService
{
    public const string Channel = "aiaspire_keys";

    /// <summary>The payload that makes every replica forget all keys.</summary>
    public const string All = "*";

    private static readonly TimeSpan ProbeInterval = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan ReconnectDelay = TimeSpan.FromMilliseconds(250);
    private const int ProbeTimeoutSeconds = 5;

    public static string Payload(Guid tenantId, Guid userId) => $"{tenantId}/{userId}";

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        while (!stoppingToken.IsCancellationRequested)
        {
            try
            {
                await ListenAsync(stoppingToken);
            }
            catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
            {
                return;
            }
            catch (Exception e)
            {
                LogLost(logger, e);
                await Task.Delay(ReconnectDelay, time, stoppingToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
        }
    }

    private async Task ListenAsync(CancellationToken stoppingToken)
    {
        await using var connection = await keyStore.OpenConnectionAsync(stoppingToken);
        connection.Notification += (_, notification) => Apply(notification.Payload);
        await using (var listen = new NpgsqlCommand($"LISTEN {Channel}", connection))
            await listen.ExecuteNonQueryAsync(stoppingToken);
        // What changed while nobody listened was not told.
        userKeys.DropAll();
        // A connection whose other end vanished looks idle; only asking shows it.
        await using var probe = new NpgsqlCommand("SELECT 1", connection) { CommandTimeout = ProbeTimeoutSeconds };
        while (true)
        {
            if (!await connection.WaitAsync(ProbeInterval, stoppingToken))
                await probe.ExecuteScalarAsync(stoppingToken);
        }
    }

    private void Apply(string payload)
    {
        if (payload.Split('/') is [var tenant, var user] && Guid.TryParse(tenant, out var tenantId) && Guid.TryParse(user, out var userId))
            userKeys.Drop(tenantId, userId);
        else
            userKeys.DropAll();
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "The key store's change feed lost its connection; destroyed keys leave this process when their cache time ends")]
    private static partial void LogLost(ILogger logger, Exception exception);
}
