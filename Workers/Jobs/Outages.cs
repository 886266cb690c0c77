using AiAspire.Core.Encryption;
using Npgsql;

namespace AiAspire.Workers.Jobs;

/// <summary>
/// Faults of what all jobs need and none is to blame for: the database, the key store, the system that holds the master key. No job's tries are for them,
/// and after one no job is taken for a moment, since the next would meet it too.
/// </summary>
internal sealed class Outages(TimeProvider time)
{
    private static readonly TimeSpan Moment = TimeSpan.FromSeconds(1);

    private readonly Lock _lock = new();
    private DateTimeOffset _until = DateTimeOffset.MinValue;

    /// <summary>How long no job is to be taken yet.</summary>
    public TimeSpan Left
    {
        get
        {
            lock (_lock)
                return _until - time.GetUtcNow() is { Ticks: > 0 } left ? left : TimeSpan.Zero;
        }
    }

    public void Seen()
    {
        lock (_lock)
            _until = time.GetUtcNow() + Moment;
    }

    /// <summary>What is away, as a stable word; null: something else went wrong. Entity Framework wraps what it gave up to repeat.</summary>
    public static string? CodeOf(Exception? exception)
    {
        for (; exception is not null; exception = exception.InnerException)
        {
            switch (exception)
            {
                case MasterKeyUnavailableException:
                    return "keys_unavailable";
                case NpgsqlException { IsTransient: true }:
                    return "database_unavailable";
                case TimeoutException:
                    return "timed_out";
            }
        }

        return null;
    }
}
