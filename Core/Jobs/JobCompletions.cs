using Microsoft.Extensions.Logging;
using Npgsql;

namespace AiAspire.Core.Jobs;

/// <summary>
/// Ends jobs whose effects need no transaction of their own. Those that end at the same moment share one statement and one commit;
/// no timer, so a lone one is not held back.
/// </summary>
public sealed partial class JobCompletions(JobLeases leases, TimeProvider time, ILogger<JobCompletions> logger)
{
    private const int MaxBatch = 500;
    private const int MaxTries = 3;
    private static readonly TimeSpan TryTimeout = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(200);

    private readonly Lock _lock = new();
    private List<Waiting> _waiting = [];
    private bool _writing;

    /// <exception cref="LeaseLostException">Someone else has the job.</exception>
    public Task FinishAsync(ClaimedJob job, JobEnd end)
    {
        var waiting = new Waiting(job, end);
        lock (_lock)
        {
            _waiting.Add(waiting);
            if (_writing)
                return waiting.Done.Task;
            _writing = true;
        }

        _ = WriteAsync();
        return waiting.Done.Task;
    }

    private async Task WriteAsync()
    {
        while (true)
        {
            List<Waiting> batch;
            lock (_lock)
            {
                if (_waiting.Count == 0)
                {
                    _writing = false;
                    return;
                }

                var count = Math.Min(_waiting.Count, MaxBatch);
                batch = _waiting.GetRange(0, count);
                _waiting = _waiting.GetRange(count, _waiting.Count - count);
            }

            try
            {
                var done = await TellAsync(batch);
                foreach (var waiting in batch)
                {
                    if (done.Contains(waiting.Job.LeaseToken))
                        waiting.Done.TrySetResult();
                    else
                        waiting.Done.TrySetException(new LeaseLostException(waiting.Job.JobId));
                }
            }
            catch (Exception e)
            {
                foreach (var waiting in batch)
                    waiting.Done.TrySetException(e);
            }
        }
    }

    private async Task<IReadOnlySet<Guid>> TellAsync(List<Waiting> batch)
    {
        for (var attempt = 1; ; attempt++)
        {
            using var timeout = new CancellationTokenSource(TryTimeout, time);
            try
            {
                return await leases.FinishAsync([.. batch.Select(w => (w.Job, w.End))], timeout.Token);
            }
            catch (Exception e) when (attempt < MaxTries && e is NpgsqlException { IsTransient: true } or OperationCanceledException)
            {
                // Repeating it is harmless: a job that this lease has ended counts as ended.
                LogRetry(logger, batch.Count, attempt, e);
                await Task.Delay(Pause * attempt, time, CancellationToken.None);
            }
        }
    }

    private sealed record Waiting(ClaimedJob Job, JobEnd End)
    {
        public TaskCompletionSource Done { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "Ending {Count} jobs failed at try {Try}; trying again")]
    private static partial void LogRetry(ILogger logger, int count, int @try, Exception exception);
}
