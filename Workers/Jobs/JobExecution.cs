using System.Diagnostics;
using AiAspire.Core.Jobs;
using AiAspire.ServiceDefaults.Logging;
using Npgsql;

namespace AiAspire.Workers.Jobs;

/// <summary>One run of one job: heartbeats while the handler works, then decides what an exception means for the job.</summary>
internal sealed partial class JobExecution(JobQueue queue, JobHandlers handlers, TimeProvider time, ILogger<JobExecution> logger)
{
    public const string SourceName = "AiAspire.Workers";
    private const double MaxBackoffSeconds = 300;
    private static readonly ActivitySource Source = new(SourceName);

    /// <param name="job">The job, leased.</param>
    /// <param name="lease">How long each renewal holds.</param>
    /// <param name="abandon">The process must stop now: the job is released for another worker.</param>
    public async Task RunAsync(ClaimedJob job, TimeSpan lease, CancellationToken abandon)
    {
        using var activity = Start(job);
        using var logged = LogContext.Push(job.JobId.ToString(), job.TenantId.ToString(), job.UserId.ToString());
        using var lost = CancellationTokenSource.CreateLinkedTokenSource(abandon);
        var heartbeat = HeartbeatAsync(job, lease, lost);
        try
        {
            await HandleAsync(job, lost, abandon);
        }
        catch (Exception e) when (e is NpgsqlException or TimeoutException or IOException or OperationCanceledException)
        {
            // The queue itself could not be told: the lease ends by itself and the job is taken again.
            LogUntold(logger, job.JobId, e);
        }
        finally
        {
            await lost.CancelAsync();
            await heartbeat;
        }
    }

    private async Task HandleAsync(ClaimedJob job, CancellationTokenSource lost, CancellationToken abandon)
    {
        try
        {
            if (handlers.Find(job.Kind) is not { } handler)
                throw new JobFailedException("unknown_kind", $"No worker knows jobs of the kind '{job.Kind}'.");
            await handler.RunAsync(job, lost.Token);
            LogDone(logger, job.JobId, job.Kind);
        }
        catch (LeaseLostException)
        {
            LogLeaseLost(logger, job.JobId);
        }
        catch (OperationCanceledException) when (abandon.IsCancellationRequested)
        {
            await queue.ReleaseAsync(job, TimeSpan.Zero, countsAsTry: false, errorCode: null, CancellationToken.None);
        }
        catch (OperationCanceledException) when (lost.IsCancellationRequested)
        {
            LogLeaseLost(logger, job.JobId);
        }
        catch (JobFailedException e)
        {
            LogFailed(logger, job.JobId, job.Kind, e);
            await FailAsync(job, e.Code, e.Message);
        }
        catch (JobRetryException e)
        {
            await RetryAsync(job, e.Code, e.Delay, e.CountsAsTry, e);
        }
        catch (Exception e)
        {
            await RetryAsync(job, "internal_error", delay: null, countsAsTry: true, e);
        }
    }

    private async Task RetryAsync(ClaimedJob job, string code, TimeSpan? delay, bool countsAsTry, Exception exception)
    {
        if (countsAsTry && job.Tries >= job.MaxTries)
        {
            LogFailed(logger, job.JobId, job.Kind, exception);
            await FailAsync(job, code, $"Gave up after {job.Tries} tries.");
            return;
        }

        // 1, 2, 4 … seconds: full jitter is not needed where each job has its own clock.
        var wait = delay ?? TimeSpan.FromSeconds(Math.Min(MaxBackoffSeconds, Math.Pow(2, job.Tries - 1)));
        LogRetry(logger, job.JobId, job.Kind, job.Tries, wait.TotalSeconds, exception);
        await queue.ReleaseAsync(job, wait, countsAsTry, code, CancellationToken.None);
    }

    private async Task FailAsync(ClaimedJob job, string code, string message)
    {
        try
        {
            await queue.FailAsync(job, code, message, CancellationToken.None);
        }
        catch (LeaseLostException)
        {
            LogLeaseLost(logger, job.JobId);
        }
    }

    private async Task HeartbeatAsync(ClaimedJob job, TimeSpan lease, CancellationTokenSource lost)
    {
        // Three chances before the lease ends.
        using var timer = new PeriodicTimer(lease / 4, time);
        try
        {
            while (await timer.WaitForNextTickAsync(lost.Token))
            {
                try
                {
                    if (!await queue.HeartbeatAsync(job, lease, lost.Token))
                    {
                        await lost.CancelAsync();
                        return;
                    }
                }
                catch (Exception e) when (e is NpgsqlException or TimeoutException or IOException)
                {
                    LogHeartbeatFailed(logger, job.JobId, e);
                }
            }
        }
        catch (OperationCanceledException)
        {
            // The job is over.
        }
    }

    private static Activity? Start(ClaimedJob job)
    {
        // The job belongs to the trace of whoever queued it.
        var activity = ActivityContext.TryParse(job.TraceParent, null, isRemote: true, out var parent)
            ? Source.StartActivity($"process {job.Kind}", ActivityKind.Consumer, parent)
            : Source.StartActivity($"process {job.Kind}", ActivityKind.Consumer);
        activity?.SetTag("messaging.operation.type", "process");
        activity?.SetTag("messaging.message.id", job.JobId);
        activity?.SetTag("aiaspire.job.kind", job.Kind);
        activity?.SetTag("aiaspire.job.tries", job.Tries);
        return activity;
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "Job {JobId} ({Kind}) is done")]
    private static partial void LogDone(ILogger logger, Guid jobId, string kind);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Job {JobId} is no longer ours; nothing of this run counts")]
    private static partial void LogLeaseLost(ILogger logger, Guid jobId);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Job {JobId} ({Kind}) failed at try {Tries}; again in {DelaySeconds} s")]
    private static partial void LogRetry(ILogger logger, Guid jobId, string kind, int tries, double delaySeconds, Exception exception);

    [LoggerMessage(Level = LogLevel.Error, Message = "Job {JobId} ({Kind}) failed for good")]
    private static partial void LogFailed(ILogger logger, Guid jobId, string kind, Exception exception);

    [LoggerMessage(Level = LogLevel.Warning, Message = "The heartbeat of job {JobId} failed")]
    private static partial void LogHeartbeatFailed(ILogger logger, Guid jobId, Exception exception);

    [LoggerMessage(Level = LogLevel.Error, Message = "The outcome of job {JobId} could not be recorded; its lease will end and it will be taken again")]
    private static partial void LogUntold(ILogger logger, Guid jobId, Exception exception);
}
