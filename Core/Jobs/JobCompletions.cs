using AiAspire.Core.Data;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace AiAspire.Core.Jobs;

/// <summary>
/// Ends jobs whose effects need no transaction of their own. Those that end at the same moment share one statement and one commit.
/// </summary>
public sealed partial class JobCompletions
{
    private const int MaxBatch = 500;

    private const int MaxTries = 3;
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(200);

    private readonly JobLeases _leases;
    private readonly TimeProvider _time;
    private readonly ILogger<JobCompletions> _logger;
    private readonly GroupWriter<Ending> _writer;

    public JobCompletions(JobLeases leases, TimeProvider time, ILogger<JobCompletions> logger)
    {
        (_leases, _time, _logger) = (leases, time, logger);
        _writer = new GroupWriter<Ending>(MaxBatch, WriteAsync);
    }

    /// <summary>Returns when the end is committed.</summary>
    /// <exception cref="LeaseLostException">Someone else has the job.</exception>
    public async Task FinishAsync(ClaimedJob job, JobEnd end)
    {
        var ending = new Ending(job, end);
        await _writer.WriteAsync(ending);
        if (!ending.IsOurs)
            throw new LeaseLostException(job.JobId);
    }

    private async Task WriteAsync(IReadOnlyList<Ending> endings)
    {
        IReadOnlySet<Guid> ours = new HashSet<Guid>();
        for (var attempt = 1; ; attempt++)
        {
            try
            {
                await TimedWrite.RunAsync(_time, async token => ours = await _leases.FinishAsync([.. endings.Select(e => (e.Job, e.End))], token));
                break;
            }
            catch (NpgsqlException e) when (attempt < MaxTries && e.IsTransient)
            {
                // Repeating it is harmless: a job that this lease has ended counts as ended.
                LogRetry(_logger, endings.Count, attempt, e);
                await Task.Delay(Pause * attempt, _time, CancellationToken.None);
            }
        }

        foreach (var ending in endings)
            ending.IsOurs = ours.Contains(ending.Job.LeaseToken);
    }

    private sealed record Ending(ClaimedJob Job, JobEnd End)
    {
        public bool IsOurs { get; set; }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "Ending {Count} jobs failed at try {Try}; trying again")]
    private static partial void LogRetry(ILogger logger, int count, int @try, Exception exception);
}
