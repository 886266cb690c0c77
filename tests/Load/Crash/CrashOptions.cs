namespace AiAspire.Load.Crash;

/// <param name="Jobs">Over four tenants, in turn.</param>
/// <param name="Workers">Replicas of the workers.</param>
/// <param name="KillEvery">One worker gets SIGKILL.</param>
/// <param name="DatabaseRestarts">Spread over the run.</param>
/// <param name="Limit">After this the run is given up.</param>
internal sealed record CrashOptions(int Jobs, int Workers, TimeSpan KillEvery, int DatabaseRestarts, TimeSpan Limit)
{
    /// <summary>The application's <c>Ledger:AttemptLeaseSeconds</c>: after that an attempt of a dead process is the reconciler's.</summary>
    public const int AttemptLeaseSeconds = 60;

    /// <summary>The providers' resources.</summary>
    public static readonly string[] Companies = ["sim-openai", "sim-anthropic"];

    /// <summary>From the last job's end to the last attempt's.</summary>
    public TimeSpan ClosingLimit { get; } = TimeSpan.FromSeconds(AttemptLeaseSeconds + 60);

    /// <summary>Shares of provider calls that fail: together one in ten.</summary>
    public Dictionary<string, double> ErrorRates { get; } = new(StringComparer.Ordinal) { ["500"] = 0.06, ["429"] = 0.04 };
}
