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
        _requests = meter.CreateCounter<long>("cache.requests", "{request}", "Look-ups in the cache, by result and kind: a reply is one, and so is each item to embed.");
        _saved = meter.CreateCounter<double>("cache.saved_usd", "{USD}", "What would have been paid without the cache.");
        meter.CreateObservableGauge("cache.hit_rate", Measure, "1", "Part of the look-ups of the last five minutes, replies and embeddings, that the cache answered.");
    }

    internal void Hit(string feature, decimal saved) => Note("reply", feature, hits: 1, misses: 0, saved);

    internal void Miss(string feature) => Note("reply", feature, hits: 0, misses: 1, saved: 0);

    internal void Embedded(string feature, int hits, int misses, decimal saved) => Note("embedding", feature, hits, misses, saved);

    private void Note(string kind, string feature, int hits, int misses, decimal saved)
    {
        Count(hits, misses);
        if (hits > 0)
            _requests.Add(hits, new("result", "hit"), new("feature", feature), new("kind", kind));
        if (misses > 0)
            _requests.Add(misses, new("result", "miss"), new("feature", feature), new("kind", kind));
        if (saved > 0)
            _saved.Add((double)saved, new("feature", feature), new("kind", kind));
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

    private void Count(int hits, int misses)
    {
        var minute = Minute;
        lock (_lock)
        {
            ref var slot = ref _byMinute[minute % Minutes];
            if (slot.Minute != minute)
                slot = (minute, 0, 0);
            slot.Hits += hits;
            slot.Misses += misses;
        }
    }
}
