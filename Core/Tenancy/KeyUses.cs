using System.Collections.Concurrent;
using AiAspire.Core.Data;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace AiAspire.Core.Tenancy;

/// <summary>Keeps <see cref="ApiKey.LastUsedAt"/>, to the minute: uses are noted in memory and written together, never by a request.</summary>
public sealed partial class KeyUses(TenantSessions sessions, TimeProvider time, ILogger<KeyUses> logger) : BackgroundService
{
    private static readonly TimeSpan WriteInterval = TimeSpan.FromSeconds(10);

    // A key that some replica wrote within the minute is left alone.
    private const string WriteSql =
        """
        UPDATE aiaspire.api_keys SET last_used_at = $3
        WHERE tenant_id = $1 AND api_key_id = ANY($2) AND (last_used_at IS NULL OR last_used_at <= $3 - interval '1 minute')
        """;

    private ConcurrentDictionary<Guid, Guid> _tenantOfKey = new();

    internal void Note(Caller caller)
    {
        if (caller.ApiKeyId is { } key)
            _tenantOfKey.TryAdd(key, caller.TenantId);
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        while (!stoppingToken.IsCancellationRequested)
        {
            await Task.Delay(WriteInterval, time, stoppingToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            // The last uses are written at shutdown as well; the host bounds how long that may take.
            await WriteAsync();
        }
    }

    private async Task WriteAsync()
    {
        var uses = Interlocked.Exchange(ref _tenantOfKey, new ConcurrentDictionary<Guid, Guid>());
        foreach (var tenant in uses.GroupBy(u => u.Value, u => u.Key))
        {
            var batch = new TenantBatch().Add(
                WriteSql,
                new NpgsqlParameter<Guid> { TypedValue = tenant.Key },
                new NpgsqlParameter<Guid[]> { TypedValue = [.. tenant] },
                new NpgsqlParameter<DateTime> { TypedValue = time.GetUtcNow().UtcDateTime });
            try
            {
                using var limit = new CancellationTokenSource(WriteInterval, time);
                await sessions.Open(new TenantScope(tenant.Key, null, DataReach.Service)).ExecuteAsync(batch, limit.Token);
            }
            catch (Exception e)
            {
                LogLost(logger, tenant.Key, e);
            }
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "When the keys of tenant {Tenant} were last used could not be written; their next use is")]
    private static partial void LogLost(ILogger logger, Guid tenant, Exception exception);
}
