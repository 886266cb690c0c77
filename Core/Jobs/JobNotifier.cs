using AiAspire.Core.Data;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace AiAspire.Core.Jobs;

/// <summary>
/// Tells workers that jobs wait and listeners that jobs are over, after it is committed and at most once at a time: PostgreSQL lets
/// transactions that notify commit one by one, so a notification in each of them would make all wait for one another's disk. Only a hint;
/// everyone polls beneath it.
/// </summary>
public sealed partial class JobNotifier(TenantSessions sessions, ILogger<JobNotifier> logger)
{
    /// <summary>The workers' channel; an empty payload says that jobs wait.</summary>
    public const string Channel = "aiaspire_jobs";

    /// <summary>Before the id of a running job in the payload: it is to be cancelled.</summary>
    public const string CancelPrefix = "cancel:";

    private const string NotifySql = "SELECT pg_notify(channel, payload), set_config('synchronous_commit', 'off', true) FROM unnest($1, $2) AS told (channel, payload)";

    private readonly Lock _lock = new();
    private HashSet<(string Channel, string Payload)> _pending = [];
    private bool _sending;

    /// <summary>Returns at once.</summary>
    public void JobsWait() => Add((Channel, ""));

    /// <summary>Returns at once.</summary>
    public void Cancel(Guid jobId) => Add((Channel, CancelPrefix + jobId));

    /// <summary>Returns at once.</summary>
    public void JobIsOver(Guid jobId) => Add((JobEventLog.Channel, jobId.ToString()));

    private void Add((string, string) notification)
    {
        lock (_lock)
        {
            _pending.Add(notification);
            if (_sending)
                return;
            _sending = true;
        }

        _ = SendAsync();
    }

    private async Task SendAsync()
    {
        while (true)
        {
            HashSet<(string Channel, string Payload)> batch;
            lock (_lock)
            {
                if (_pending.Count == 0)
                {
                    _sending = false;
                    return;
                }

                (batch, _pending) = (_pending, []);
            }

            try
            {
                await sessions.CallFunctionAsync(
                    NotifySql, static _ => { }, CancellationToken.None,
                    Parameter.Of(batch.Select(n => n.Channel).ToArray()), Parameter.Of(batch.Select(n => n.Payload).ToArray()));
            }
            catch (Exception e) when (e is NpgsqlException or IOException or TimeoutException or ObjectDisposedException)
            {
                LogFailed(logger, e);
            }
        }
    }

    [LoggerMessage(Level = LogLevel.Debug, Message = "Workers and listeners could not be told of changes; they will find them by polling")]
    private static partial void LogFailed(ILogger logger, Exception exception);
}
