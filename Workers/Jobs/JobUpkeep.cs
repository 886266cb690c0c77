using AiAspire.Core.Jobs;
using Microsoft.Extensions.Options;
using Npgsql;

namespace AiAspire.Workers.Jobs;

/// <summary>Samples the queue for the metrics, and deletes what is past its time. Every worker does it; several at once do no harm.</summary>
internal sealed partial class JobUpkeep(
    JobLeases leases, JobRetention retention, JobMetrics metrics, IOptions<JobRunnerOptions> options, TimeProvider time, ILogger<JobUpkeep> logger) : BackgroundService
{
    protected override Task ExecuteAsync(CancellationToken stoppingToken) => Task.WhenAll(
        RepeatAsync(TimeSpan.FromSeconds(options.Value.StatusSeconds), SampleAsync, stoppingToken),
        RepeatAsync(TimeSpan.FromMinutes(options.Value.RetentionMinutes), DeleteAsync, stoppingToken));

    private async Task RepeatAsync(TimeSpan interval, Func<CancellationToken, Task> work, CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(interval, time);
        try
        {
            do
            {
                try
                {
                    await work(stoppingToken);
                }
                catch (Exception e) when (e is NpgsqlException or TimeoutException or IOException)
                {
                    LogFailed(logger, e);
                }
            }
            while (await timer.WaitForNextTickAsync(stoppingToken));
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            // The end.
        }
    }

    private async Task SampleAsync(CancellationToken cancellationToken) => metrics.Status = await leases.ReadStatusAsync(cancellationToken);

    private async Task DeleteAsync(CancellationToken cancellationToken)
    {
        var deleted = await retention.DeleteExpiredAsync(cancellationToken);
        if (deleted > 0)
            LogDeleted(logger, deleted);
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "Looking after the queue failed; trying again")]
    private static partial void LogFailed(ILogger logger, Exception exception);

    [LoggerMessage(Level = LogLevel.Information, Message = "Deleted {Count} events and results of jobs past their time")]
    private static partial void LogDeleted(ILogger logger, long count);
}
