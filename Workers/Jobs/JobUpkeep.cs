using AiAspire.Core.Jobs;
using Microsoft.Extensions.Options;
using Npgsql;

namespace AiAspire.Workers.Jobs;

/// <summary>Samples the queue for the metrics. Every worker does it; several at once do no harm.</summary>
internal sealed partial class JobUpkeep(
    JobLeases leases, JobMetrics metrics, IOptions<JobRunnerOptions> options, TimeProvider time, ILogger<JobUpkeep> logger) : BackgroundService
{
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(TimeSpan.FromSeconds(options.Value.StatusSeconds), time);
        try
        {
            do
            {
                try
                {
                    metrics.Status = await leases.ReadStatusAsync(stoppingToken);
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

    [LoggerMessage(Level = LogLevel.Warning, Message = "The state of the queue could not be read; trying again")]
    private static partial void LogFailed(ILogger logger, Exception exception);
}
