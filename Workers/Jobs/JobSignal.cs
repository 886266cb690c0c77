using AiAspire.Core.Data;
using AiAspire.Core.Jobs;
using Npgsql;

namespace AiAspire.Workers.Jobs;

/// <summary>
/// Wakes the runner when a job is queued anywhere, and stops a job that is cancelled. Only a hint: the runner polls, and heartbeats tell of
/// cancellations too, so nothing is lost when this is away.
/// </summary>
internal sealed partial class JobSignal(NpgsqlDataSource dataSource, RunningJobs running, TimeProvider time, ILogger<JobSignal> logger)
    : NotificationListener(dataSource, JobNotifier.Channel, TimeSpan.FromSeconds(1), time)
{
    private readonly AutoResetSignal _signal = new();

    /// <summary>Returns at the next notification, or after <paramref name="atMost"/>.</summary>
    public Task WaitAsync(TimeSpan atMost, CancellationToken cancellationToken) => _signal.WaitAsync(atMost, cancellationToken);

    public void Set() => _signal.Set();

    protected override Task CatchUpAsync(CancellationToken stoppingToken)
    {
        Set();
        return Task.CompletedTask;
    }

    protected override void Lost(Exception exception) => LogLost(logger, exception);

    protected override void Hear(string payload)
    {
        if (!payload.StartsWith(JobNotifier.CancelPrefix, StringComparison.Ordinal))
            Set();
        else if (Guid.TryParse(payload.AsSpan(JobNotifier.CancelPrefix.Length), out var jobId))
            running.Cancel(jobId);
    }

    public override void Dispose()
    {
        _signal.Dispose();
        base.Dispose();
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "The queue's notifications are away; polling goes on")]
    private static partial void LogLost(ILogger logger, Exception exception);
}
