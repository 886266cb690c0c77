using System.Collections.Concurrent;
using System.Collections.Frozen;
using AiAspire.Core.Jobs;
using Microsoft.Extensions.Options;
using Npgsql;

namespace AiAspire.Workers.Jobs;

/// <summary>Claims jobs as it has room for them and runs each to its end, a release, or the loss of its lease.</summary>
internal sealed partial class JobRunner(
    JobQueue queue, JobExecution execution, JobSignal signal, IOptions<JobRunnerOptions> options, TimeProvider time, ILogger<JobRunner> logger) : BackgroundService
{
    private static readonly TimeSpan ErrorDelay = TimeSpan.FromSeconds(1);

    private readonly string _worker = $"{Environment.MachineName}:{Environment.ProcessId}";
    private readonly ConcurrentDictionary<Guid, Task> _running = new();

    // Cancelled when the grace period is over, after the claiming has stopped.
    private readonly CancellationTokenSource _abandon = new();

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        while (!stoppingToken.IsCancellationRequested)
        {
            try
            {
                var room = options.Value.Concurrency - _running.Count;
                var claimed = room > 0 ? await queue.ClaimAsync(_worker, room, Lease, stoppingToken) : [];
                foreach (var job in claimed)
                    Start(job);
                // A full batch says that more may wait.
                if (claimed.Count < room || room <= 0)
                    await signal.WaitAsync(TimeSpan.FromSeconds(options.Value.PollSeconds), stoppingToken);
            }
            catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
            {
                break;
            }
            catch (Exception e) when (e is NpgsqlException or TimeoutException or IOException)
            {
                LogClaimFailed(logger, e);
                await Task.Delay(ErrorDelay, time, stoppingToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
        }

        await DrainAsync();
    }

    private TimeSpan Lease => TimeSpan.FromSeconds(options.Value.LeaseSeconds);

    private void Start(ClaimedJob job)
    {
        // A job whose lease this very process lost may come back to it: the token tells the two runs apart.
        _running[job.LeaseToken] = Task.Run(async () =>
        {
            await execution.RunAsync(job, Lease, _abandon.Token);
            _running.TryRemove(job.LeaseToken, out _);
            signal.Set();
        }, CancellationToken.None);
    }

    private async Task DrainAsync()
    {
        var all = Task.WhenAll(_running.Values);
        LogDraining(logger, _running.Count);
        await all.WaitAsync(TimeSpan.FromSeconds(options.Value.DrainSeconds), time, CancellationToken.None).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await _abandon.CancelAsync();
        await all.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    public override void Dispose()
    {
        _abandon.Dispose();
        base.Dispose();
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "Claiming jobs failed; trying again")]
    private static partial void LogClaimFailed(ILogger logger, Exception exception);

    [LoggerMessage(Level = LogLevel.Information, Message = "Stopping: {Count} running jobs get to finish")]
    private static partial void LogDraining(ILogger logger, int count);
}

/// <summary>The handlers of this process by their kind.</summary>
internal sealed class JobHandlers(IEnumerable<IJobHandler> handlers)
{
    private readonly FrozenDictionary<string, IJobHandler> _byKind = handlers.ToFrozenDictionary(h => h.Kind, StringComparer.Ordinal);

    public IJobHandler? Find(string kind) => _byKind.GetValueOrDefault(kind);
}
