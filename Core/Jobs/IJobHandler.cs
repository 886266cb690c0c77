namespace AiAspire.Core.Jobs;

/// <summary>Runs one kind of job. A new kind is a class and a registration.</summary>
public interface IJobHandler
{
    string Kind { get; }

    /// <summary>
    /// Does the work and completes the job in the same transaction as its effects (<see cref="JobQueue.AddCompletion"/>).
    /// The token is cancelled when the lease is lost or the worker stops.
    /// </summary>
    /// <exception cref="JobRetryException">To be tried again.</exception>
    /// <exception cref="JobFailedException">Never to be tried again.</exception>
    Task RunAsync(ClaimedJob job, CancellationToken cancellationToken);
}

/// <summary>The job could not be done now.</summary>
/// <param name="code">Why, as a stable word.</param>
/// <param name="delay">When to try again; null leaves it to the worker's backoff.</param>
/// <param name="countsAsTry">False when the wait is nobody's fault.</param>
public sealed class JobRetryException(string code, TimeSpan? delay, bool countsAsTry, Exception? inner = null) : Exception(code, inner)
{
    public string Code { get; } = code;

    public TimeSpan? Delay { get; } = delay;

    public bool CountsAsTry { get; } = countsAsTry;
}

/// <summary>The job can never be done as it was asked.</summary>
public sealed class JobFailedException(string code, string message, Exception? inner = null) : Exception(message, inner)
{
    public string Code { get; } = code;
}
