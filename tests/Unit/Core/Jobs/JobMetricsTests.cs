using System.Diagnostics.Metrics;
using AiAspire.Core.Jobs;

namespace AiAspire.Unit.CoreTests.Jobs;

/// <summary>Each figure that dashboards and autoscalers ask of the queue has its name and moves when it should.</summary>
public sealed class JobMetricsTests : IDisposable
{
    private static readonly ClaimedJob Job = new() { TenantId = Guid.Empty, UserId = Guid.Empty, JobId = Guid.Empty, LeaseToken = Guid.Empty, Kind = "chat.completion", Payload = [] };

    private readonly List<(string Name, double Value, string Tags)> _seen = [];
    private readonly Meters _meters = new();
    private readonly MeterListener _listener = new();
    private readonly JobMetrics _metrics;

    public JobMetricsTests()
    {
        _metrics = new JobMetrics(_meters);
        _listener.InstrumentPublished = (instrument, l) =>
        {
            if (ReferenceEquals(instrument.Meter, _meters.Last))
                l.EnableMeasurementEvents(instrument);
        };
        _listener.SetMeasurementEventCallback<double>((i, value, tags, _) => Saw(i, value, tags));
        _listener.SetMeasurementEventCallback<long>((i, value, tags, _) => Saw(i, value, tags));
        _listener.SetMeasurementEventCallback<int>((i, value, tags, _) => Saw(i, value, tags));
        _listener.Start();
    }

    public void Dispose()
    {
        _listener.Dispose();
        _meters.Dispose();
    }

    [Fact]
    public void Rates_waits_runs_retries_and_dead_letters_are_told_by_kind()
    {
        _metrics.Enqueued("chat.completion", 3);
        _metrics.Claimed(Job, TimeSpan.FromSeconds(2));
        _metrics.Ran(Job, TimeSpan.FromSeconds(4), "Succeeded");
        _metrics.Finished(Job, JobState.Succeeded, null);
        _metrics.Retried(Job, "overloaded");
        _metrics.Finished(Job, JobState.Failed, "no_provider");
        _metrics.LeaseLost(Job);

        Assert.Equal(
            [
                ("jobs.enqueued", 3, "kind=chat.completion"),
                ("jobs.claimed", 1, "kind=chat.completion"),
                ("jobs.wait_seconds", 2, "kind=chat.completion"),
                ("jobs.run_seconds", 4, "kind=chat.completion outcome=Succeeded"),
                ("jobs.finished", 1, "kind=chat.completion state=Succeeded"),
                ("jobs.retried", 1, "kind=chat.completion code=overloaded"),
                ("jobs.finished", 1, "kind=chat.completion state=Failed"),
                ("jobs.dead_letters", 1, "kind=chat.completion code=no_provider"),
                ("jobs.leases_lost", 1, "kind=chat.completion"),
            ],
            _seen);
    }

    [Fact]
    public void Depth_age_dead_tuples_and_the_oldest_snapshot_are_the_last_samples_and_absent_without_one()
    {
        (_metrics.Running, _metrics.Concurrency) = (3, 16);
        _listener.RecordObservableInstruments();
        Assert.Equal([("jobs.running", 3, ""), ("jobs.concurrency", 16, "")], _seen);

        _seen.Clear();
        _metrics.Status = new QueueStatus(Queued: 7, Scheduled: 2, Running: 5, OldestReadySeconds: 1.5, DeadTuples: 900, OldestXminAge: 40);
        _listener.RecordObservableInstruments();
        Assert.Equal(
            [
                ("jobs.depth", 7, "state=queued"), ("jobs.depth", 2, "state=scheduled"), ("jobs.depth", 5, "state=running"), ("jobs.oldest_ready_seconds", 1.5, ""),
                ("jobs.dead_tuples", 900, ""), ("jobs.oldest_xmin_age", 40, ""), ("jobs.running", 3, ""), ("jobs.concurrency", 16, ""),
            ],
            _seen);
    }

    private void Saw(Instrument instrument, double value, ReadOnlySpan<KeyValuePair<string, object?>> tags)
    {
        var text = new List<string>();
        foreach (var tag in tags)
            text.Add($"{tag.Key}={tag.Value}");
        _seen.Add((instrument.Name, value, string.Join(' ', text)));
    }

    private sealed class Meters : IMeterFactory
    {
        public Meter? Last { get; private set; }

        public Meter Create(MeterOptions options) => Last = new Meter(options);

        public void Dispose() => Last?.Dispose();
    }
}
