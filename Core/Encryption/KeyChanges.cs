using AiAspire.Core.Data;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace AiAspire.Core.Encryption;

/// <summary>
/// Drops cached keys that another replica destroyed or rotated: <c>NOTIFY</c> of the key store's own database is the push, the
/// cache's time the limit beneath it.
/// </summary>
internal sealed partial class KeyChanges(NpgsqlDataSource keyStore, UserKeys userKeys, TimeProvider time, ILogger<KeyChanges> logger)
    : NotificationListener(keyStore, Channel, TimeSpan.FromMilliseconds(250), time)
{
    public const string Channel = "aiaspire_keys";

    /// <summary>The payload that makes every replica forget all keys.</summary>
    public const string All = "*";

    private static readonly TimeSpan ProbeInterval = TimeSpan.FromSeconds(5);
    private const int ProbeTimeoutSeconds = 5;

    public static string Payload(Guid tenantId, Guid userId) => $"{tenantId}/{userId}";

    protected override Task CatchUpAsync(CancellationToken stoppingToken)
    {
        userKeys.DropAll();
        return Task.CompletedTask;
    }

    protected override async Task StayAsync(NpgsqlConnection connection, CancellationToken stoppingToken)
    {
        // A connection whose other end vanished looks idle; only asking shows it.
        await using var probe = new NpgsqlCommand("SELECT 1", connection) { CommandTimeout = ProbeTimeoutSeconds };
        while (true)
        {
            if (!await connection.WaitAsync(ProbeInterval, stoppingToken))
                await probe.ExecuteScalarAsync(stoppingToken);
        }
    }

    protected override void Lost(Exception exception) => LogLost(logger, exception);

    protected override void Hear(string payload)
    {
        if (payload.Split('/') is [var tenant, var user] && Guid.TryParse(tenant, out var tenantId) && Guid.TryParse(user, out var userId))
            userKeys.Drop(tenantId, userId);
        else
            userKeys.DropAll();
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "The key store's change feed lost its connection; destroyed keys leave this process when their cache time ends")]
    private static partial void LogLost(ILogger logger, Exception exception);
}
