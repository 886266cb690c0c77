using AiAspire.Core.Tenancy;
using AiAspire.Core.Wire;

namespace AiAspire.Core.Jobs;

/// <summary>Runs one kind of job. A new kind is a class and a registration (<see cref="JobsRegistration.AddJobKind"/>).</summary>
public interface IJobHandler
{
    string Kind { get; }

    /// <summary>
    /// Does the work. The token is cancelled when the job is cancelled, its deadline comes, its lease is lost or the worker stops:
    /// <see cref="JobRun.Ending"/> tells which of them ends the job.
    /// </summary>
    /// <returns>
    /// How the job ends, to be recorded by the worker; null when the handler has recorded it in the transaction of the job's effects
    /// (<see cref="JobQueue.AddFinish"/>).
    /// </returns>
    /// <exception cref="JobRetryException">To be tried again.</exception>
    /// <exception cref="JobFailedException">Never to be tried again.</exception>
    /// <exception cref="JobYieldException">To go on later.</exception>
    /// <exception cref="LeaseLostException">Someone else has the job. So says a transaction that fails with it (<see cref="JobQueue.IsLeaseLost"/>).</exception>
    Task<JobEnd?> RunAsync(JobRun run, CancellationToken cancellationToken);
}

/// <summary>A kind of job that callers may queue by name.</summary>
public interface IJobKind : IJobHandler
{
    /// <summary>What the job's request is, for people.</summary>
    string Takes { get; }

    /// <summary>Refuses what would fail for certain, while its sender is still listening.</summary>
    /// <exception cref="WireException">Naming what is at fault.</exception>
    void Check(ReadOnlyMemory<byte> request, Caller caller);
}

/// <summary>One start of a job, as its handler sees it.</summary>
public sealed class JobRun(ClaimedJob job, JobEventLog events)
{
    public ClaimedJob Job { get; } = job;

    /// <summary>Takes tokens and progress for whoever listens.</summary>
    public JobEventLog Events { get; } = events;

    /// <summary>Set before the token is cancelled when that is to end the job (cancelled, past its deadline); null when it will be done again.</summary>
    public JobEnd? Ending { get; set; }
}

/// <summary>The job could not be done now.</summary>
/// <param name="code">Why, as a stable word.</param>
/// <param name="delay">The least time to wait; null leaves it to the backoff alone.</param>
/// <param name="countsAsTry">False when the wait is nobody's fault.</param>
public sealed class JobRetryException(string code, TimeSpan? delay, bool countsAsTry, Exception? inner = null) : Exception(code, inner)
{
    public string Code { get; } = code;

    public TimeSpan? Delay { get; } = delay;

    public bool CountsAsTry { get; } = countsAsTry;

    /// <summary>What the job needs is overloaded: this worker takes fewer jobs for a while.</summary>
    public bool Throttled { get; init; }
}

/// <summary>Nothing went wrong, and there is more to do: others get their turn, and the job goes on after the delay.</summary>
public sealed class JobYieldException(TimeSpan delay) : Exception("The job goes on later.")
{
    public TimeSpan Delay { get; } = delay;
}

/// <summary>The job can never be done as it was asked.</summary>
public sealed class JobFailedException(string code, string message, Exception? inner = null) : Exception(message, inner)
{
    public string Code { get; } = code;
}
