using System.Collections.Frozen;
using AiAspire.Core.Jobs;
using Microsoft.Extensions.Options;
using Npgsql;

namespace AiAspire.Workers.Jobs;

/// <summary>
/// Claims jobs as it has room for them, runs each to its end, a release, or the loss of its lease, and keeps all their leases. Asked to
/// stop, it claims no more and gives what runs a grace period; the rest goes back to the queue. From the first word of the stop: services are stopped
/// one after the other, and others may take their time.
/// </summary>
internal sealed partial class JobRunner(
    JobLeases leases, JobExecution execution, JobEventLogs eventLogs, JobHandlers handlers, RunningJobs running, AdaptiveConcurrency concurrency, Outages outages,
    JobSignal signal, JobMetrics metrics, IHostApplicationLifetime lifetime, IOptions<JobRunnerOptions> options, TimeProvider time, ILogger<JobRunner> logger) : BackgroundService
{
    /// <summary>A claim takes milliseconds; one that does not answer is given up after this.</summary>
    public static readonly TimeSpan ClaimTimeout = TimeSpan.FromSeconds(10);

    private static readonly TimeSpan ErrorDelay = TimeSpan.FromSeconds(1);

    // A claim of one job costs the database nearly what one of twenty does: of a worker that is nearly full, slots that become free one after the other are
    // filled together. Nothing beside a model's seconds; a job that is queued meanwhile is taken at once.
    private static readonly TimeSpan Gathering = TimeSpan.FromMilliseconds(5);

    private readonly string _worker = $"{Environment.MachineName}:{Environment.ProcessId}";
    private readonly Dictionary<Guid, Task> _tasks = [];
    private readonly Lock _tasksLock = new();
    private bool _gathering;

    private TimeSpan Lease => TimeSpan.FromSeconds(options.Value.LeaseSeconds);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        // Until the last job has ended: a job that gets to finish keeps its lease.
        using var drained = new CancellationTokenSource();
        var renewing = RenewAsync(drained.Token);
        using (var stopping = CancellationTokenSource.CreateLinkedTokenSource(stoppingToken, lifetime.ApplicationStopping))
            await ClaimAsync(stopping.Token);
        await DrainAsync();
        await drained.CancelAsync();
        await renewing;
    }

    private async Task ClaimAsync(CancellationToken stoppingToken)
    {
        while (!stoppingToken.IsCancellationRequested)
        {
            try
            {
                if (outages.Left is { Ticks: > 0 } away)
                    await Task.Delay(away, time, stoppingToken);
                var room = concurrency.Current - running.Count;
                (metrics.Running, metrics.Concurrency) = (running.Count, concurrency.Current);
                var claimed = room > 0 ? await ClaimAsync(room) : [];
                foreach (var job in claimed)
                    Start(job);
                if (!MayTakeMore(claimed, room - claimed.Count))
                    await signal.WaitAsync(Pause(claimed.Count < room), stoppingToken);
            }
            catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
            {
                return;
            }
            catch (Exception e) when (e is NpgsqlException or TimeoutException or IOException or OperationCanceledException)
            {
                LogClaimFailed(logger, e);
                await Task.Delay(ErrorDelay, time, stoppingToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
        }
    }

    /// <summary>
    /// Not cancelled by a stop: it may be committed already, and jobs whose claim nobody hears of would wait for their leases to end. Those get to run like
    /// all others, or go back.
    /// </summary>
    private async Task<List<ClaimedJob>> ClaimAsync(int room)
    {
        using var patience = new CancellationTokenSource(ClaimTimeout, time);
        return await leases.ClaimAsync(new ClaimRequest(_worker, handlers.Kinds, room, Lease, options.Value.TenantConcurrency), patience.Token);
    }

    /// <summary>A claim gives each tenant the same at most; when few jobs of the others waited, it may have more.</summary>
    private bool MayTakeMore(List<ClaimedJob> claimed, int room)
    {
        if (claimed.Count == 0 || room <= 0)
            return false;
        var byTenant = running.All.CountBy(r => r.Job.TenantId).ToDictionary();
        return claimed.Any(job => ClaimRequest.Allows(byTenant.GetValueOrDefault(job.TenantId), room));
    }

    /// <param name="mayHaveMissed">Nothing was found, by a claim that may not have looked at everything.</param>
    private TimeSpan Pause(bool mayHaveMissed)
    {
        var poll = TimeSpan.FromSeconds(options.Value.PollSeconds);
        return mayHaveMissed && leases.LooksAtAllIn is { } look && look < poll ? look : poll;
    }

    private void Start(ClaimedJob claimed)
    {
        var job = new RunningJob(claimed, eventLogs.Open(claimed));
        running.Add(job);
        lock (_tasksLock)
        {
            _tasks[claimed.LeaseToken] = Task.Run(async () =>
            {
                try
                {
                    await execution.RunAsync(job);
                }
                catch (Exception e)
                {
                    LogBroken(logger, claimed.JobId, e);
                }

                running.Remove(job);
                await job.DisposeAsync();
                await TellAsync();
                lock (_tasksLock)
                    _tasks.Remove(claimed.LeaseToken);
            }, CancellationToken.None);
        }
    }

    /// <summary>A slot is free.</summary>
    private async Task TellAsync()
    {
        if ((concurrency.Current - running.Count) * 4 < concurrency.Current)
        {
            if (Interlocked.Exchange(ref _gathering, true))
                return;
            await Task.Delay(Gathering, time, CancellationToken.None);
            Volatile.Write(ref _gathering, false);
        }

        signal.Set();
    }

    /// <summary>Renews all leases in one statement; three chances before any of them ends.</summary>
    private async Task RenewAsync(CancellationToken drained)
    {
        using var timer = new PeriodicTimer(Lease / 4, time);
        try
        {
            while (await timer.WaitForNextTickAsync(drained))
            {
                // Not waited for: one that hangs, its connection being dead, must not take the time of the next.
                var jobs = running.All;
                if (jobs.Count > 0)
                    _ = RenewAsync(jobs, drained);
            }
        }
        catch (OperationCanceledException)
        {
            // Nothing runs any more.
        }
    }

    private async Task RenewAsync(IReadOnlyList<RunningJob> jobs, CancellationToken drained)
    {
        // Later it comes too late. On a slow database it may well take the time of two.
        using var patience = new CancellationTokenSource(Lease, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(patience.Token, drained);
        try
        {
            var renewed = await leases.RenewAsync([.. jobs.Select(j => j.Job)], Lease, either.Token);
            foreach (var job in jobs)
            {
                // One that has just ended is not held any more either; stopping it changes nothing.
                if (!renewed.Held.Contains(job.Job.LeaseToken))
                    job.LeaseLost();
                else if (renewed.Cancel.Contains(job.Job.LeaseToken))
                    job.Cancel();
            }
        }
        catch (Exception) when (drained.IsCancellationRequested)
        {
            // Nothing runs any more.
        }
        catch (Exception e)
        {
            // Whatever it was: nobody else would hear of it.
            LogRenewFailed(logger, jobs.Count, e);
        }
    }

    private async Task DrainAsync()
    {
        Task all;
        lock (_tasksLock)
            all = Task.WhenAll(_tasks.Values);
        LogDraining(logger, running.Count);
        await all.WaitAsync(TimeSpan.FromSeconds(options.Value.DrainSeconds), time, CancellationToken.None).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        foreach (var job in running.All)
            job.Abandon();
        await all.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "Claiming jobs failed; trying again")]
    private static partial void LogClaimFailed(ILogger logger, Exception exception);

    [LoggerMessage(Level = LogLevel.Warning, Message = "The leases of {Count} jobs could not be renewed; trying again")]
    private static partial void LogRenewFailed(ILogger logger, int count, Exception exception);

    [LoggerMessage(Level = LogLevel.Error, Message = "The run of job {JobId} broke; its lease will end and it will be taken again")]
    private static partial void LogBroken(ILogger logger, Guid jobId, Exception exception);

    [LoggerMessage(Level = LogLevel.Information, Message = "Stopping: {Count} running jobs get to finish")]
    private static partial void LogDraining(ILogger logger, int count);
}

/// <summary>The handlers of this process by their kind.</summary>
internal sealed class JobHandlers(IEnumerable<IJobHandler> handlers)
{
    private readonly FrozenDictionary<string, IJobHandler> _byKind = handlers.ToFrozenDictionary(h => h.Kind, StringComparer.Ordinal);

    public string[] Kinds => [.. _byKind.Keys];

    public IJobHandler? Find(string kind) => _byKind.GetValueOrDefault(kind);
}
