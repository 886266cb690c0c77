using System.Text.Json.Nodes;
using AiAspire.Core.Data;
using AiAspire.Core.Schedules;
using Npgsql;
using Quartz;

namespace AiAspire.Workers.Schedules;

/// <summary>
/// Writes every run down, and lets each firing run once: a scheduler that hung past its check-in, or one that starts and declares its triggers anew, can
/// fire what another has fired. When the row cannot be written the run goes on: what it does matters more than its record, and doing it twice does no harm.
/// </summary>
internal sealed partial class RunJournal(
    ScheduleBook book, ScheduleList schedules, IHostApplicationLifetime lifetime, TimeProvider time, ILogger<RunJournal> logger) : IJobExecutionMiddleware
{
    /// <summary>The triggers of runs that were asked for are named by the run.</summary>
    public const string ManualPrefix = "run-";

    private const int MaxError = 2_000;

    public async ValueTask Invoke(IJobExecutionContext context, JobExecutionDelegate next, CancellationToken cancellationToken = default)
    {
        var now = time.GetUtcNow();
        var manual = context.Trigger.Key.Name.StartsWith(ManualPrefix, StringComparison.Ordinal);
        var schedule = context.JobDetail.Key.Name;
        var run = new ScheduleRun
        {
            TenantId = TenantScope.PlatformTenantId,
            RunId = manual ? Guid.Parse(context.Trigger.Key.Name.AsSpan(ManualPrefix.Length)) : time.NewId(),
            Schedule = schedule,
            Trigger = manual ? RunTrigger.Manual : context.Recovering ? RunTrigger.Recovery : RunTrigger.Schedule,
            State = RunState.Running,
            DueAt = manual ? null : DueAt(context.Trigger, context.ScheduledFireTimeUtc ?? now),
            Worker = $"{Environment.MachineName}:{Environment.ProcessId}",
            StartedAt = now,
        };
        var start = book.StartAsync(run, schedules.NextAfter(schedule, now), cancellationToken);
        if (await WrittenAsync(run, start) && !await start)
        {
            LogFiredBefore(logger, schedule, run.DueAt);
            return;
        }

        // What the row cannot say, since there is one for each firing: that the work was done, and by whom.
        LogRuns(logger, schedule, run.DueAt, run.Trigger);
        // The scheduler waits for its runs when the process stops, and everything that is stopped after it would wait with it.
        using var stopping = CancellationTokenSource.CreateLinkedTokenSource(lifetime.ApplicationStopping, cancellationToken);
        try
        {
            await next(context, stopping.Token);
            (run.State, run.Report) = (RunState.Succeeded, (context.Result as JsonObject)?.ToJsonString());
        }
        catch (OperationCanceledException) when (stopping.IsCancellationRequested)
        {
            (run.State, run.Error) = (RunState.Failed, "Its worker was stopped. The next run does what this one did not.");
            throw;
        }
        catch (Exception e)
        {
            (run.State, run.Error) = (RunState.Failed, e.Message.Length > MaxError ? e.Message[..MaxError] : e.Message);
            throw;
        }
        finally
        {
            run.FinishedAt = time.GetUtcNow();
            // Also when the process is on its way down.
            await WrittenAsync(run, book.FinishAsync(run, CancellationToken.None));
        }
    }

    /// <summary>
    /// Quartz says "now" of what was missed, and says it again when a second worker starts at that moment. The trigger's own times count: workers of another
    /// version or with other settings may have declared it.
    /// </summary>
    private static DateTimeOffset DueAt(ITrigger trigger, DateTimeOffset fireTime)
        => trigger is ICronTrigger { CronExpressionString: { } cron } ? ScheduleList.LastUpTo(cron, fireTime) : fireTime;

    private async Task<bool> WrittenAsync(ScheduleRun run, Task write)
    {
        try
        {
            await write;
            return true;
        }
        catch (Exception e) when (e is NpgsqlException or TimeoutException or IOException or InvalidOperationException)
        {
            LogUnwritten(logger, run.RunId, run.Schedule, e);
            return false;
        }
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "Schedule {Schedule} runs for {DueAt:O} ({Trigger})")]
    private static partial void LogRuns(ILogger logger, string schedule, DateTimeOffset? dueAt, RunTrigger trigger);

    [LoggerMessage(Level = LogLevel.Information, Message = "The firing of {Schedule} at {DueAt} has its run; it does not run again")]
    private static partial void LogFiredBefore(ILogger logger, string schedule, DateTimeOffset? dueAt);

    [LoggerMessage(Level = LogLevel.Error, Message = "Run {Run} of schedule {Schedule} could not be written down")]
    private static partial void LogUnwritten(ILogger logger, Guid run, string schedule, Exception exception);
}
