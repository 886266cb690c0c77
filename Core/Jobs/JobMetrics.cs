using System.Diagnostics;
using System.Diagnostics.Metrics;

namespace AiAspire.Core.Jobs;

/// <summary>What the queue looks like, over all tenants.</summary>
/// <param name="Queued">Jobs that a worker could take now.</param>
/// <param name="Scheduled">Jobs whose time has not come.</param>
/// <param name="Running">Jobs in a worker's hands, those of dead workers included until their lease ends.</param>
/// <param name="OldestReadySeconds">How long the oldest ready job has waited; 0 with none. With the depth the signal to scale workers by.</param>
/// <param name="DeadTuples">Of the queue's table, which slow the claim until vacuum takes them away.</param>
/// <param name="OldestXminAge">Transactions since the oldest snapshot that still holds vacuum back.</param>
public sealed record QueueStatus(long Queued, long Scheduled, long Running, double OldestReadySeconds, long DeadTuples, long OldestXminAge);

/// <summary>The queue's instruments. Dimensions are bounded: kinds, states and codes, never tenants.</summary>
public sealed class JobMetrics
{
    public const string MeterName = "AiAspire.Jobs";

    private readonly Counter<long> _enqueued;
    private readonly Counter<long> _claimed;
    private readonly Counter<long> _finished;
    private readonly Counter<long> _retried;
    private readonly Counter<long> _deadLetters;
    private readonly Counter<long> _leasesLost;
    private readonly Histogram<double> _wait;
    private readonly Histogram<double> _run;

    public JobMetrics(IMeterFactory meters)
    {
        var meter = meters.Create(MeterName);
        _enqueued = meter.CreateCounter<long>("jobs.enqueued", "{job}", "Jobs queued.");
        _claimed = meter.CreateCounter<long>("jobs.claimed", "{job}", "Starts of jobs.");
        _finished = meter.CreateCounter<long>("jobs.finished", "{job}", "Jobs that ended, by state.");
        _retried = meter.CreateCounter<long>("jobs.retried", "{job}", "Starts that ended with another to come, by code.");
        _deadLetters = meter.CreateCounter<long>("jobs.dead_letters", "{job}", "Jobs given up, by code.");
        _leasesLost = meter.CreateCounter<long>("jobs.leases_lost", "{job}", "Runs whose lease was lost: nothing of them counted.");
        _wait = meter.CreateHistogram<double>("jobs.wait_seconds", "s", "From ready to started.");
        _run = meter.CreateHistogram<double>("jobs.run_seconds", "s", "One run, however it ended.");
        meter.CreateObservableGauge("jobs.depth", Depths, "{job}", "Jobs at hand, by state.");
        meter.CreateObservableGauge("jobs.oldest_ready_seconds", () => Sample(s => s.OldestReadySeconds), "s", "How long the oldest ready job has waited.");
        meter.CreateObservableGauge("jobs.dead_tuples", () => Sample(s => s.DeadTuples), "{tuple}", "Dead tuples of the queue's table.");
        meter.CreateObservableGauge("jobs.oldest_xmin_age", () => Sample(s => s.OldestXminAge), "{transaction}", "Transactions since the snapshot that holds vacuum back.");
        meter.CreateObservableGauge("jobs.running", () => Running, "{job}", "Jobs that this process runs.");
        meter.CreateObservableGauge("jobs.concurrency", () => Concurrency, "{job}", "Jobs that this process would run at once; sinks while providers are overloaded.");
    }

    /// <summary>The last look at the queue; null in processes that take none.</summary>
    public QueueStatus? Status { get; set; }

    public int Running { get; set; }

    public int Concurrency { get; set; }

    public void Enqueued(string kind, int count) => _enqueued.Add(count, new KeyValuePair<string, object?>("kind", kind));

    public void Claimed(ClaimedJob job, TimeSpan waited)
    {
        var kind = new KeyValuePair<string, object?>("kind", job.Kind);
        _claimed.Add(1, kind);
        _wait.Record(Math.Max(0, waited.TotalSeconds), kind);
    }

    public void Ran(ClaimedJob job, TimeSpan took, string outcome) => _run.Record(took.TotalSeconds, new TagList { { "kind", job.Kind }, { "outcome", outcome } });

    public void Finished(ClaimedJob job, JobState state, string? code)
    {
        _finished.Add(1, new TagList { { "kind", job.Kind }, { "state", state.ToString() } });
        if (state == JobState.Failed)
            _deadLetters.Add(1, new TagList { { "kind", job.Kind }, { "code", code } });
    }

    public void Retried(ClaimedJob job, string code) => _retried.Add(1, new TagList { { "kind", job.Kind }, { "code", code } });

    public void LeaseLost(ClaimedJob job) => _leasesLost.Add(1, new KeyValuePair<string, object?>("kind", job.Kind));

    private IEnumerable<Measurement<long>> Depths() => Status is not { } status
        ? []
        :
        [
            new(status.Queued, new KeyValuePair<string, object?>("state", "queued")),
            new(status.Scheduled, new KeyValuePair<string, object?>("state", "scheduled")),
            new(status.Running, new KeyValuePair<string, object?>("state", "running")),
        ];

    private IEnumerable<Measurement<T>> Sample<T>(Func<QueueStatus, T> value)
        where T : struct
        => Status is { } status ? [new Measurement<T>(value(status))] : [];
}
