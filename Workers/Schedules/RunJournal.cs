using System.Collections.Concurrent;
using System.Text.Json.Nodes;
using AiAspire.Core.Data;
using AiAspire.Core.Schedules;
using Npgsql;
using Quartz;

namespace AiAspire.Workers.Schedules;

/// <summary>Writes every run down. When that cannot be done the run goes on: what it does matters more than its record.</summary>
internal sealed partial class RunJournal(ScheduleBook book, ScheduleList schedules, TimeProvider time, ILogger<RunJournal> logger) : IJobListener
{
    /// <summary>The triggers of runs that were asked for are named by the run.</summary>
    public const string ManualPrefix = "run-";

    private const int MaxError = 2_000;

    private readonly ConcurrentDictionary<string, ScheduleRun> _running = new(StringComparer.Ordinal);

    public async ValueTask JobToBeExecuted(IJobExecutionContext context, CancellationToken cancellationToken = default)
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
            DueAt = manual ? null : context.ScheduledFireTimeUtc,
            Worker = $"{Environment.MachineName}:{Environment.ProcessId}",
            StartedAt = now,
        };
        _running[context.FireInstanceId] = run;
        await WriteAsync(run, book.StartAsync(run, schedules.NextAfter(schedule, now), cancellationToken));
    }

    public async ValueTask JobWasExecuted(IJobExecutionContext context, JobExecutionException? jobException, CancellationToken cancellationToken = default)
    {
        if (!_running.TryRemove(context.FireInstanceId, out var run))
            return;
        run.FinishedAt = time.GetUtcNow();
        run.State = jobException is null ? RunState.Succeeded : RunState.Failed;
        run.Report = (context.Result as JsonObject)?.ToJsonString();
        if (jobException is not null)
        {
            // Quartz wraps what the job threw.
            var error = (jobException.InnerException?.InnerException ?? jobException.InnerException ?? jobException).Message;
            run.Error = error.Length > MaxError ? error[..MaxError] : error;
        }

        // Also when the process is on its way down.
        await WriteAsync(run, book.FinishAsync(run, CancellationToken.None));
    }

    private async Task WriteAsync(ScheduleRun run, Task write)
    {
        try
        {
            await write;
        }
        catch (Exception e) when (e is NpgsqlException or TimeoutException or IOException or InvalidOperationException)
        {
            LogUnwritten(logger, run.RunId, run.Schedule, e);
        }
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "Run {Run} of schedule {Schedule} could not be written down")]
    private static partial void LogUnwritten(ILogger logger, Guid run, string schedule, Exception exception);
}
