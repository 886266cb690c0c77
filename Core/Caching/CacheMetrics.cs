using System.Diagnostics.Metrics;

namespace AiAspire.Core.Caching;

/// <summary>The checklist's <c>cache.hit_rate</c> and what it is made of.</summary>
public sealed class CacheMetrics
{
    public const string MeterName = "AiAspire.Caching";

    /// <summary>The rate is that of the last minutes: a figure over a process's whole life says nothing of today.</summary>
    private const int Minutes = 5;

    private readonly (long Minute, long Hits, long Misses)[] _byMinute = new (long, long, long)[Minutes];
    private readonly Lock _lock = new();
    private readonly TimeProvider _time;
    private readonly Counter<long> _requests;
    private readonly Counter<double> _saved;

    public CacheMetrics(IMeterFactory meters, TimeProvider time)
    {
        _time = time;
        var meter = meters.Create(MeterName);
        _requests = meter.CreateCounter<long>("cache.requests", "{request}", "Calls that looked into the cache, by result.");
        _saved = meter.CreateCounter<double>("cache.saved_usd", "{USD}", "What the calls answered from the cache would have cost.");
        meter.CreateObservableGauge("cache.hit_rate", Measure, "1", "Part of the calls of the last five minutes that were answered from the cache.");
    }

    internal void Hit(string feature, decimal saved)
    {
        Count(hit: true);
        _requests.Add(1, new("result", "hit"), new("feature", feature));
        _saved.Add((double)saved, new KeyValuePair<string, object?>("feature", feature));
    }

    internal void Miss(string feature)
    {
        Count(hit: false);
        _requests.Add(1, new("result", "miss"), new("feature", feature));
    }

    /// <summary>Null when nobody asked.</summary>
    internal double? Rate()
    {
        var now = Minute;
        lock (_lock)
        {
            var (hits, all) = (0L, 0L);
            foreach (var slot in _byMinute)
            {
                if (slot.Minute <= now - Minutes)
                    continue;
                hits += slot.Hits;
                all += slot.Hits + slot.Misses;
            }

            return all == 0 ? null : (double)hits / all;
        }
    }

    private long Minute => _time.GetUtcNow().UtcTicks / TimeSpan.TicksPerMinute;

    private IEnumerable<Measurement<double>> Measure() => Rate() is { } rate ? [new Measurement<double>(rate)] : [];

    private void Count(bool hit)
    {
        var minute = Minute;
        lock (_lock)
        {
            ref var slot = ref _byMinute[minute % Minutes];
            if (slot.Minute != minute)
                slot = (minute, 0, 0);
            if (hit)
                slot.Hits++;
            else
                slot.Misses++;
        }
    }
}
