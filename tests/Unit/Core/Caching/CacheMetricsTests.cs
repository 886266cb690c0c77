using System.Diagnostics.Metrics;
using AiAspire.Core.Caching;

namespace AiAspire.Unit.CoreTests.Caching;

public sealed class CacheMetricsTests
{
    [Fact]
    [Trait("Checklist", "OBS-06")]
    public void The_hit_rate_is_that_of_the_last_five_minutes()
    {
        var time = SampleCalls.Time();
        using var meters = new Meters();
        var metrics = new CacheMetrics(meters, time);
        Assert.Null(metrics.Rate());

        metrics.Miss("chat");
        metrics.Hit("chat", 0.1m);
        Assert.Equal(0.5, metrics.Rate());
        time.Advance(TimeSpan.FromMinutes(4));
        metrics.Hit("chat", 0.1m);
        metrics.Hit("chat", 0.1m);
        Assert.Equal(0.75, metrics.Rate());
        time.Advance(TimeSpan.FromMinutes(1));
        Assert.Equal(1, metrics.Rate());
        time.Advance(TimeSpan.FromMinutes(5));
        Assert.Null(metrics.Rate());
    }

    [Fact]
    [Trait("Checklist", "OBS-06")]
    public void The_gauge_has_the_checklists_name()
    {
        using var meters = new Meters();
        var metrics = new CacheMetrics(meters, SampleCalls.Time());
        var seen = new List<(string Name, double Value)>();
        using var listener = new MeterListener();
        listener.InstrumentPublished = (instrument, l) =>
        {
            if (ReferenceEquals(instrument.Meter, meters.Last))
                l.EnableMeasurementEvents(instrument);
        };
        listener.SetMeasurementEventCallback<double>((instrument, value, _, _) => seen.Add((instrument.Name, value)));
        listener.Start();
        metrics.Hit("chat", 0.25m);
        listener.RecordObservableInstruments();

        Assert.Contains(("cache.hit_rate", 1d), seen);
        Assert.Contains(("cache.saved_usd", 0.25), seen);
    }

    [Fact]
    [Trait("Checklist", "OBS-06")]
    public void The_rate_is_over_replies_and_embeddings_item_by_item()
    {
        using var meters = new Meters();
        var metrics = new CacheMetrics(meters, SampleCalls.Time());

        metrics.Miss("chat");
        metrics.Embedded("embeddings", hits: 3, misses: 0, saved: 0.1m);
        Assert.Equal(0.75, metrics.Rate());
        metrics.Embedded("embeddings", hits: 0, misses: 2, saved: 0);
        Assert.Equal(0.5, metrics.Rate());
    }

    private sealed class Meters : IMeterFactory
    {
        public Meter? Last { get; private set; }

        public Meter Create(MeterOptions options) => Last = new Meter(options);

        public void Dispose() => Last?.Dispose();
    }
}
