using System.Text.Json.Nodes;
using AiAspire.Core.Data;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace AiAspire.Core.Audit;

/// <summary>
/// Writes down events that anyone can cause at will (failed logins, refused crossings), so many a minute and no more: the rest are
/// counted, and the count is written when the minute is over.
/// </summary>
public sealed partial class SecurityEvents(TenantSessions sessions, TimeProvider time, IOptions<AuditOptions> options, ILogger<SecurityEvents> logger)
    : BackgroundService
{
    private readonly EventRates _rates = new(options.Value.EventsPerSourceAndMinute, options.Value.EventsPerMinute);

    /// <summary>Appends the event to a chain unless its source, or all together, had their share of this minute. Never throws: the answer to the caller does not hang on it.</summary>
    /// <param name="chain">The tenant concerned; the platform tenant for an event without one.</param>
    /// <param name="source">What the share is counted by; it is kept in memory only.</param>
    /// <param name="entry">The event.</param>
    public async Task RecordAsync(Guid chain, string source, AuditEvent entry)
    {
        if (_rates.TryTake(chain, source))
            await AppendAsync(chain, entry);
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        while (!stoppingToken.IsCancellationRequested)
        {
            await Task.Delay(EventRates.Window, time, stoppingToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            foreach (var (chain, count) in _rates.StartNext())
                await AppendAsync(chain, new AuditEvent(time.NewId(), AuditActor.System, AuditActions.EventsDropped) { Details = new JsonObject { ["count"] = count } });
        }
    }

    private async Task AppendAsync(Guid chain, AuditEvent entry)
    {
        try
        {
            // Not cancelled with the request: an attacker who hangs up is written down all the same.
            using var limit = new CancellationTokenSource(AppendLimit, time);
            await sessions.Open(new TenantScope(chain, null)).RunAsync((db, token) => db.AppendAuditAsync(entry, token), limit.Token);
        }
        catch (Exception e)
        {
            LogLost(logger, entry.Action, e);
        }
    }

    private static readonly TimeSpan AppendLimit = TimeSpan.FromSeconds(10);

    [LoggerMessage(Level = LogLevel.Error, Message = "The security event {Action} could not be written to the audit log")]
    private static partial void LogLost(ILogger logger, string action, Exception exception);
}

/// <summary>Counts events of one minute by chain and source. A source is held only once it has been let through, so the memory is bounded by the totals.</summary>
internal sealed class EventRates(int perSource, int perChain)
{
    public static readonly TimeSpan Window = TimeSpan.FromMinutes(1);

    private readonly Lock _turn = new();
    private Dictionary<Guid, ChainCount> _chains = [];

    public bool TryTake(Guid chain, string source)
    {
        lock (_turn)
        {
            if (!_chains.TryGetValue(chain, out var count))
                _chains[chain] = count = new ChainCount();
            var ofSource = count.BySource.GetValueOrDefault(source);
            if (count.Taken >= perChain || ofSource >= perSource)
            {
                count.Dropped++;
                return false;
            }

            count.Taken++;
            count.BySource[source] = ofSource + 1;
            return true;
        }
    }

    /// <summary>Begins the next minute.</summary>
    /// <returns>How many events the last one dropped, of chains where it dropped any.</returns>
    public List<(Guid Chain, long Dropped)> StartNext()
    {
        lock (_turn)
        {
            var dropped = _chains.Where(c => c.Value.Dropped > 0).Select(c => (c.Key, c.Value.Dropped)).ToList();
            _chains = [];
            return dropped;
        }
    }

    private sealed class ChainCount
    {
        public int Taken { get; set; }

        public long Dropped { get; set; }

        public Dictionary<string, int> BySource { get; } = new(StringComparer.Ordinal);
    }
}
