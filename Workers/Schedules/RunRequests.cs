using System.Threading.Channels;
using AiAspire.Core.Schedules;
using Npgsql;
using Quartz;

namespace AiAspire.Workers.Schedules;

/// <summary>Tells which schedules there are, and gives the runs that operators ask for to the scheduler, whose replicas agree on which of them runs it.</summary>
internal sealed partial class RunRequests(ScheduleBook book, ScheduleList schedules, ISchedulerFactory schedulers, TimeProvider time, ILogger<RunRequests> logger) : BackgroundService
{
    private readonly Channel<bool> _wake = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });

    /// <summary>Looks soon. Called when a run was asked for, and every few seconds beneath that.</summary>
    public Task WakeAsync(CancellationToken cancellationToken)
    {
        _wake.Writer.TryWrite(true);
        return Task.CompletedTask;
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        var declared = false;
        try
        {
            await foreach (var _ in _wake.Reader.ReadAllAsync(stoppingToken))
            {
                try
                {
                    if (!declared)
                        await book.DeclareAsync(schedules.Rows(time.GetUtcNow()), stoppingToken);
                    declared = true;
                    await book.HandOverAsync(HandAsync, stoppingToken);
                }
                catch (Exception e) when (e is NpgsqlException or SchedulerException or TimeoutException or InvalidOperationException)
                {
                    LogFailed(logger, e);
                }
            }
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            // The end.
        }
    }

    private async Task<bool> HandAsync(ScheduleRun run, CancellationToken cancellationToken)
    {
        var scheduler = await schedulers.GetScheduler(cancellationToken);
        var job = new JobKey(run.Schedule);
        if (!await scheduler.Exists(job, cancellationToken))
            return false;
        var trigger = TriggerBuilder.Create().WithIdentity($"{RunJournal.ManualPrefix}{run.RunId}").ForJob(job).StartNow().Build();
        try
        {
            await scheduler.ScheduleJob(trigger, cancellationToken: cancellationToken);
        }
        catch (ObjectAlreadyExistsException)
        {
            // It waits already.
        }

        return true;
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "Runs that were asked for could not be handed over; trying again")]
    private static partial void LogFailed(ILogger logger, Exception exception);
}
