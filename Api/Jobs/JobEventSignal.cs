using System.Collections.Concurrent;
using AiAspire.Core.Data;
using AiAspire.Core.Jobs;
using Npgsql;

namespace AiAspire.Api.Jobs;

/// <summary>Wakes those who follow a job when it has said something. Only a hint: they poll as well.</summary>
internal sealed partial class JobEventSignal(NpgsqlDataSource dataSource, TimeProvider time, ILogger<JobEventSignal> logger)
    : NotificationListener(dataSource, JobEventLog.Channel, TimeSpan.FromSeconds(1), time)
{
    private readonly ConcurrentDictionary<Guid, ConcurrentDictionary<Listener, bool>> _listeners = new();

    /// <summary>Listens until it is disposed of.</summary>
    public Listener Listen(Guid jobId)
    {
        var listener = new Listener(this, jobId);
        while (true)
        {
            var all = _listeners.GetOrAdd(jobId, static _ => new());
            all[listener] = true;
            // Unless the last listener has just taken the set away.
            if (_listeners.TryGetValue(jobId, out var current) && ReferenceEquals(current, all))
                return listener;
        }
    }

    protected override void Lost(Exception exception) => LogLost(logger, exception);

    protected override void Hear(string payload)
    {
        if (!Guid.TryParse(payload, out var jobId) || !_listeners.TryGetValue(jobId, out var all))
            return;
        foreach (var listener in all.Keys)
            listener.Wake();
    }

    private void Remove(Listener listener, Guid jobId)
    {
        if (!_listeners.TryGetValue(jobId, out var all))
            return;
        all.TryRemove(listener, out _);
        // A listener that comes between the two lines loses its hints and polls.
        if (all.IsEmpty)
            _listeners.TryRemove(new KeyValuePair<Guid, ConcurrentDictionary<Listener, bool>>(jobId, all));
    }

    /// <summary>One who follows a job.</summary>
    internal sealed class Listener(JobEventSignal signal, Guid jobId) : IDisposable
    {
        private readonly AutoResetSignal _woken = new();

        /// <summary>Returns when the job has said something, or after this time.</summary>
        public Task WaitAsync(TimeSpan atMost, CancellationToken cancellationToken) => _woken.WaitAsync(atMost, cancellationToken);

        public void Wake() => _woken.Set();

        public void Dispose() => signal.Remove(this, jobId);
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "The notifications of jobs are away; listeners poll")]
    private static partial void LogLost(ILogger logger, Exception exception);
}
