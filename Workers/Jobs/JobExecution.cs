using System.Diagnostics;
using AiAspire.Core.Jobs;
using AiAspire.ServiceDefaults.Logging;
using Microsoft.Extensions.Options;
using Npgsql;

namespace AiAspire.Workers.Jobs;

/// <summary>One run of one job: what its handler returns or throws, and why it was stopped, become the job's next state.</summary>
internal sealed partial class JobExecution(
    JobHandlers handlers, JobLeases leases, JobCompletions completions, JobNotifier notifier, AdaptiveConcurrency concurrency, Outages outages, JobMetrics metrics,
    IOptions<JobRunnerOptions> options, TimeProvider time, Random random, ILogger<JobExecution> logger)
{
    public const string SourceName = "AiAspire.Workers";
    private static readonly ActivitySource Source = new(SourceName);

    public async Task RunAsync(RunningJob running)
    {
        var job = running.Job;
        using var activity = Start(job);
        using var logged = LogContext.Push(job.JobId.ToString(), job.TenantId.ToString(), job.UserId.ToString());
        metrics.Claimed(job, time.GetUtcNow() - job.ReadyAt);
        var started = time.GetTimestamp();
        var outcome = "untold";
        try
        {
            outcome = await HandleAsync(running);
        }
        catch (LeaseLostException)
        {
            outcome = "lease_lost";
            metrics.LeaseLost(job);
            LogLeaseLost(logger, job.JobId);
        }
        catch (Exception e) when (e is NpgsqlException or TimeoutException or IOException or OperationCanceledException)
        {
            // The queue itself could not be told: the lease ends by itself and the job is taken again.
            LogUntold(logger, job.JobId, e);
        }

        metrics.Ran(job, time.GetElapsedTime(started), outcome);
        activity?.SetTag("aiaspire.job.outcome", outcome);
    }

    private async Task<string> HandleAsync(RunningJob running)
    {
        var job = running.Job;
        try
        {
            using var deadline = WatchDeadline(running);
            if (job.CancelRequested)
                running.Cancel();
            if (job.LostLeases > options.Value.MaxLostLeases)
                throw new JobFailedException("worker_lost", $"{job.LostLeases} workers died while they ran this job.");
            if (handlers.Find(job.Kind) is not { } handler)
                throw new JobFailedException("unknown_kind", $"No worker knows jobs of the kind '{job.Kind}'.");
            running.Token.ThrowIfCancellationRequested();
            JobEnd? end;
            try
            {
                end = await handler.RunAsync(running.Run, running.Token);
            }
            finally
            {
                await running.Run.Events.CloseAsync();
            }

            concurrency.WentWell();
            return await FinishAsync(job, end);
        }
        catch (LeaseLostException)
        {
            throw;
        }
        catch (PostgresException e) when (JobQueue.IsLeaseLost(e))
        {
            throw new LeaseLostException(job.JobId, e);
        }
        catch (Exception e) when (running.Reason != StopReason.None)
        {
            return await StoppedAsync(running, e);
        }
        catch (JobYieldException e)
        {
            concurrency.WentWell();
            if (await leases.ReleaseAsync(job, e.Delay, failed: false, snoozed: false, errorCode: null, CancellationToken.None) == JobState.Cancelled)
                notifier.JobIsOver(job.JobId);
            return "yielded";
        }
        catch (JobFailedException e)
        {
            LogFailed(logger, job.JobId, job.Kind, e);
            return await FinishAsync(job, new JobEnd(JobState.Failed, ErrorCode: e.Code, ErrorMessage: e.Message));
        }
        catch (JobRetryException e)
        {
            if (e.Throttled)
                concurrency.Throttled();
            return await RetryAsync(job, e.Code, e.Delay, e.CountsAsTry, e);
        }
        catch (Exception e) when (Outages.CodeOf(e) is { } code)
        {
            outages.Seen();
            return await RetryAsync(job, code, delay: null, countsAsTry: false, e);
        }
        catch (Exception e)
        {
            return await RetryAsync(job, "internal_error", delay: null, countsAsTry: true, e);
        }
    }

    /// <param name="job">The job.</param>
    /// <param name="end">Null when the handler has recorded the end itself.</param>
    private async Task<string> FinishAsync(ClaimedJob job, JobEnd? end)
    {
        if (end is not null)
            await completions.FinishAsync(job, end);
        notifier.JobIsOver(job.JobId);
        var state = end?.State ?? JobState.Succeeded;
        metrics.Finished(job, state, end?.ErrorCode);
        LogDone(logger, job.JobId, job.Kind, state);
        return state.ToString();
    }

    private async Task<string> StoppedAsync(RunningJob running, Exception exception)
    {
        var job = running.Job;
        switch (running.Reason)
        {
            // Recorded with the call's books where a provider had been called; saying it again changes nothing.
            case StopReason.Ended:
                return await FinishAsync(job, running.Run.Ending);
            case StopReason.Abandoned:
                await leases.ReleaseAsync(job, TimeSpan.Zero, failed: false, snoozed: false, errorCode: null, CancellationToken.None);
                LogReleased(logger, job.JobId, job.Kind);
                return "released";
            default:
                throw new LeaseLostException(job.JobId, exception);
        }
    }

    private async Task<string> RetryAsync(ClaimedJob job, string code, TimeSpan? delay, bool countsAsTry, Exception exception)
    {
        if (countsAsTry && job.Failures + 1 >= job.MaxTries)
        {
            LogFailed(logger, job.JobId, job.Kind, exception);
            return await FinishAsync(job, new JobEnd(JobState.Failed, ErrorCode: code, ErrorMessage: $"Gave up after {job.Failures + 1} failed tries."));
        }

        var wait = JobBackoff.Next((countsAsTry ? job.Failures : job.Snoozes) + 1, delay, Draw());
        LogRetry(logger, job.JobId, job.Kind, job.Tries, code, wait.TotalSeconds, exception);
        var state = await leases.ReleaseAsync(job, wait, countsAsTry, snoozed: !countsAsTry, code, CancellationToken.None);
        metrics.Retried(job, code);
        if (state == JobState.Cancelled)
            notifier.JobIsOver(job.JobId);
        return countsAsTry ? "failed_try" : "snoozed";
    }

    private double Draw()
    {
        lock (random) // shared by all runs, and not made for it
            return random.NextDouble();
    }

    private ITimer? WatchDeadline(RunningJob running)
    {
        if (running.Job.Deadline is not { } deadline)
            return null;
        var left = deadline - time.GetUtcNow();
        if (left > TimeSpan.Zero)
            return left.TotalMilliseconds < uint.MaxValue - 1 ? time.CreateTimer(static job => ((RunningJob)job!).DeadlinePassed(), running, left, Timeout.InfiniteTimeSpan) : null;
        running.DeadlinePassed();
        return null;
    }

    private static Activity? Start(ClaimedJob job)
    {
        // The job belongs to the trace of whoever queued it: also when nobody collects spans, its log lines and its calls bear the trace's id.
        var activity = ActivityContext.TryParse(job.TraceParent, null, isRemote: true, out var parent)
            ? Source.StartActivity($"process {job.Kind}", ActivityKind.Consumer, parent) ?? new Activity($"process {job.Kind}").SetParentId(job.TraceParent!).Start()
            : Source.StartActivity($"process {job.Kind}", ActivityKind.Consumer);
        activity?.SetTag("messaging.operation.type", "process");
        activity?.SetTag("messaging.message.id", job.JobId);
        activity?.SetTag("aiaspire.job.kind", job.Kind);
        activity?.SetTag("aiaspire.job.tries", job.Tries);
        return activity;
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "Job {JobId} ({Kind}) is over: {State}")]
    private static partial void LogDone(ILogger logger, Guid jobId, string kind, JobState state);

    [LoggerMessage(Level = LogLevel.Information, Message = "Job {JobId} ({Kind}) goes back to the queue: this worker stops")]
    private static partial void LogReleased(ILogger logger, Guid jobId, string kind);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Job {JobId} is no longer ours; nothing of this run counts")]
    private static partial void LogLeaseLost(ILogger logger, Guid jobId);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Job {JobId} ({Kind}) could not be done at start {Tries} ({Code}); again in {DelaySeconds} s")]
    private static partial void LogRetry(ILogger logger, Guid jobId, string kind, int tries, string code, double delaySeconds, Exception exception);

    [LoggerMessage(Level = LogLevel.Error, Message = "Job {JobId} ({Kind}) failed for good")]
    private static partial void LogFailed(ILogger logger, Guid jobId, string kind, Exception exception);

    [LoggerMessage(Level = LogLevel.Error, Message = "The outcome of job {JobId} could not be recorded; its lease will end and it will be taken again")]
    private static partial void LogUntold(ILogger logger, Guid jobId, Exception exception);
}
