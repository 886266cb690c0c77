using Npgsql;

namespace AiAspire.Core.Data;

/// <summary>Writes that outlast their caller, and must not wait for ever for a database that does not answer.</summary>
internal static class TimedWrite
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(10);

    /// <summary>Runs a write that only its own limit of ten seconds cancels.</summary>
    /// <param name="time">The clock.</param>
    /// <param name="write">The write.</param>
    /// <exception cref="NpgsqlException">Transient: there was no answer in time, and it is not known whether the write is committed.</exception>
    public static async Task RunAsync(TimeProvider time, Func<CancellationToken, Task> write)
    {
        using var timeout = new CancellationTokenSource(Limit, time);
        try
        {
            await write(timeout.Token);
        }
        catch (OperationCanceledException e) when (timeout.IsCancellationRequested)
        {
            // Nobody's caller left: whoever waits is told of a database that is away.
            throw new NpgsqlException($"Nothing was written within {Limit.TotalSeconds} s.", new TimeoutException(null, e));
        }
    }
}
