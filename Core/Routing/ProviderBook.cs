using System.Collections.Concurrent;
using AiAspire.Core.Data;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace AiAspire.Core.Routing;

/// <summary>Counts over a window.</summary>
public sealed record UptimeCount(long Total, long Failed)
{
    /// <summary>Percent; null when nothing was seen.</summary>
    public double? Percent => Total == 0 ? null : Math.Round(100.0 * (Total - Failed) / Total, 4);
}

/// <summary>What was measured of a provider since a time.</summary>
public sealed record ProviderUptime(string Provider, string Source, UptimeCount Count);

/// <summary>
/// Writes down how providers do: outcomes are counted in memory and added to the minute's row together, never by a request.
/// A process that is killed loses at most the last <see cref="WriteInterval"/>; the ledger has the attempts.
/// </summary>
public sealed partial class ProviderBook(TenantSessions sessions, TimeProvider time, ILogger<ProviderBook> logger) : BackgroundService
{
    /// <summary>Rows older than this are deleted with the probes' schedule.</summary>
    public static readonly TimeSpan Retention = TimeSpan.FromDays(92);

    private static readonly TimeSpan WriteInterval = TimeSpan.FromSeconds(5);

    private const string AddSql =
        """
        INSERT INTO aiaspire.provider_minutes (tenant_id, provider, minute, source, total, failed, last_error)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        ON CONFLICT (tenant_id, provider, minute, source) DO UPDATE SET
            total = provider_minutes.total + excluded.total,
            failed = provider_minutes.failed + excluded.failed,
            last_error = coalesce(excluded.last_error, provider_minutes.last_error)
        """;

    private const string UsedSql =
        """
        UPDATE aiaspire.provider_keys SET last_used_at = $3
        WHERE tenant_id = $1 AND provider_key_id = $2 AND (last_used_at IS NULL OR last_used_at <= $3 - interval '1 minute')
        """;

    private readonly ConcurrentDictionary<Guid, DateTimeOffset> _uses = new();
    private ConcurrentDictionary<(string Provider, DateTimeOffset Minute, string Source), Counts> _counts = new();

    internal void Note(string provider, string source, string? error, Guid? key = null)
    {
        var now = time.GetUtcNow();
        if (key is { } used)
            _uses[used] = now;
        var minute = new DateTimeOffset(now.Ticks - (now.Ticks % TimeSpan.TicksPerMinute), TimeSpan.Zero);
        _counts.GetOrAdd((provider, minute, source), static _ => new Counts()).Add(error);
    }

    /// <summary>Counts per provider and source since a time.</summary>
    public Task<List<ProviderUptime>> SinceAsync(DateTimeOffset since, CancellationToken cancellationToken)
        => sessions.Open(TenantScope.Platform).RunAsync(
            async (db, token) => (await db.ProviderMinutes.Where(m => m.Minute >= since)
                    .GroupBy(m => new { m.Provider, m.Source })
                    .Select(g => new { g.Key.Provider, g.Key.Source, Total = g.Sum(m => (long)m.Total), Failed = g.Sum(m => (long)m.Failed) })
                    .ToListAsync(token))
                .ConvertAll(g => new ProviderUptime(g.Provider, g.Source, new UptimeCount(g.Total, g.Failed))),
            cancellationToken);

    public Task<ProviderMinute?> LastProbeAsync(string provider, CancellationToken cancellationToken)
        => sessions.Open(TenantScope.Platform).RunAsync(
            (db, token) => db.ProviderMinutes.AsNoTracking().Where(m => m.Provider == provider && m.Source == ProviderMinute.Probe)
                .OrderByDescending(m => m.Minute).FirstOrDefaultAsync(token),
            cancellationToken);

    public Task DeleteOldAsync(CancellationToken cancellationToken)
    {
        var before = time.GetUtcNow() - Retention;
        return sessions.Open(TenantScope.Platform).RunAsync((db, token) => db.ProviderMinutes.Where(m => m.Minute < before).ExecuteDeleteAsync(token), cancellationToken);
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        while (!stoppingToken.IsCancellationRequested)
        {
            await Task.Delay(WriteInterval, time, stoppingToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            await WriteAsync();
        }
    }

    internal async Task WriteAsync()
    {
        var counts = Interlocked.Exchange(ref _counts, new());
        var batch = new TenantBatch();
        // In one order everywhere, so that replicas never wait for one another in a circle.
        foreach (var ((provider, minute, source), count) in counts.OrderBy(c => c.Key.Provider, StringComparer.Ordinal).ThenBy(c => c.Key.Minute).ThenBy(c => c.Key.Source, StringComparer.Ordinal))
        {
            var (total, failed, error) = count.Read();
            batch.Add(AddSql, Parameter.Of(TenantScope.PlatformTenantId), Parameter.Of(provider), Parameter.Of(minute.UtcDateTime), Parameter.Of(source), Parameter.Of(total), Parameter.Of(failed), Parameter.Of(error));
        }

        foreach (var key in _uses.Keys.Order())
        {
            if (_uses.TryRemove(key, out var at))
                batch.Add(UsedSql, Parameter.Of(TenantScope.PlatformTenantId), Parameter.Of(key), Parameter.Of(at.UtcDateTime));
        }

        if (batch.Statements.Count == 0)
            return;
        try
        {
            using var limit = new CancellationTokenSource(WriteInterval, time);
            await sessions.Open(TenantScope.Platform).ExecuteAsync(batch, limit.Token);
        }
        catch (Exception e) when (e is NpgsqlException or OperationCanceledException or ObjectDisposedException)
        {
            LogLost(logger, e);
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "Some seconds of the providers' uptime could not be written")]
    private static partial void LogLost(ILogger logger, Exception exception);

    private sealed class Counts
    {
        private int _total;
        private int _failed;
        private volatile string? _error;

        public void Add(string? error)
        {
            Interlocked.Increment(ref _total);
            if (error is null)
                return;
            Interlocked.Increment(ref _failed);
            _error = error;
        }

        // A count that comes in between reading and now belongs to a map that is no longer written to: at most a handful a day.
        public (int Total, int Failed, string? Error) Read() => (Volatile.Read(ref _total), Volatile.Read(ref _failed), _error);
    }
}
