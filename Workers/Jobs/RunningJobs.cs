using System.Collections.Concurrent;
using AiAspire.Core.Jobs;

namespace AiAspire.Workers.Jobs;

/// <summary>Why a run was stopped before its end.</summary>
internal enum StopReason
{
    None,

    /// <summary>The job is someone else's: nothing of this run counts.</summary>
    LeaseLost,

    /// <summary>The process stops; another worker is to have the job.</summary>
    Abandoned,

    /// <summary>The job ends with <see cref="JobRun.Ending"/>.</summary>
    Ended,
}

/// <summary>A job that this process is running.</summary>
internal sealed class RunningJob(ClaimedJob job, JobEventLog events) : IAsyncDisposable
{
    private static readonly JobEnd PastDeadline = new(JobState.Failed, ErrorCode: "deadline_exceeded", ErrorMessage: "The job's deadline has passed.");

    private readonly Lock _lock = new();
    private readonly CancellationTokenSource _stop = new();

    public ClaimedJob Job { get; } = job;

    public JobRun Run { get; } = new(job, events);

    public CancellationToken Token => _stop.Token;

    public StopReason Reason { get; private set; }

    public void Cancel() => Stop(StopReason.Ended, JobEnd.Cancelled);

    public void DeadlinePassed() => Stop(StopReason.Ended, PastDeadline);

    public void LeaseLost() => Stop(StopReason.LeaseLost, null);

    public void Abandon() => Stop(StopReason.Abandoned, null);

    public async ValueTask DisposeAsync()
    {
        _stop.Dispose();
        await events.DisposeAsync();
    }

    private void Stop(StopReason reason, JobEnd? ending)
    {
        lock (_lock)
        {
            if (Reason != StopReason.None)
                return;
            (Reason, Run.Ending) = (reason, ending);
        }

        try
        {
            _stop.Cancel();
        }
        catch (ObjectDisposedException)
        {
            // It has just ended by itself.
        }
    }
}

/// <summary>What this process is running. By lease: a job whose lease this very process lost may come back to it.</summary>
internal sealed class RunningJobs
{
    private readonly ConcurrentDictionary<Guid, RunningJob> _byLease = new();

    public int Count => _byLease.Count;

    public IReadOnlyList<RunningJob> All => [.. _byLease.Values];

    public void Add(RunningJob job) => _byLease[job.Job.LeaseToken] = job;

    public void Remove(RunningJob job) => _byLease.TryRemove(job.Job.LeaseToken, out _);

    /// <summary>Stops the job if it runs here.</summary>
    public void Cancel(Guid jobId)
    {
        foreach (var job in _byLease.Values)
        {
            if (job.Job.JobId == jobId)
                job.Cancel();
        }
    }
}
