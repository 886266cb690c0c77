using System.Globalization;

namespace AiAspire.Load.Gateway;

/// <summary>How much chaos, and how long.</summary>
/// <param name="Length">Of the load; counting comes after it.</param>
/// <param name="Callers">Each asks, waits for the end of its answer, and asks again.</param>
/// <param name="FaultLength">How long one provider misbehaves.</param>
/// <param name="Calm">Until the other one does.</param>
/// <param name="ApiKills">SIGKILL to one replica of the Api, in turn.</param>
/// <param name="RedisKills">SIGKILL to Redis, which keeps nothing.</param>
/// <param name="DatabaseRestarts">Orderly, as an update does it.</param>
/// <param name="Seed">Draws the callers' decisions.</param>
internal sealed record GatewayChaosOptions(
    TimeSpan Length, int Callers, TimeSpan FaultLength, TimeSpan Calm, int ApiKills, int RedisKills, int DatabaseRestarts, int Seed = 1)
{
    /// <summary>What a dead Api left open is closed after this; no call takes so long.</summary>
    public const int AttemptLeaseSeconds = 20;

    /// <summary>Replicas of the Api.</summary>
    public const int Replicas = 2;

    /// <summary>Each company in turn comes first.</summary>
    public static readonly string[] Models = ["sim-resilient", "chaos-other-way"];

    /// <summary>
    /// Settings of the application: leases and time limits so short that a run of minutes meets them, everything else as shipped.
    /// </summary>
    public static readonly string[] Settings =
    [
        string.Create(CultureInfo.InvariantCulture, $"--Replicas:Api={Replicas}"),
        string.Create(CultureInfo.InvariantCulture, $"--Ledger:AttemptLeaseSeconds={AttemptLeaseSeconds}"),
        "--Idempotency:LeaseSeconds=3", "--Schedules:ReconcileCron=0/2 * * * * ?", "--Routing:BreakSeconds=1", "--Routing:MaxBreakSeconds=1",
        "--Providers:sim-openai:FirstTokenSeconds=2", "--Providers:sim-openai:IdleSeconds=2", "--Providers:sim-anthropic:FirstTokenSeconds=2", "--Providers:sim-anthropic:IdleSeconds=2",
        "--Aliases:chaos-other-way:0=sim-anthropic-large", "--Aliases:chaos-other-way:1=sim-large",
    ];

    /// <summary>A run of this length with its share of faults.</summary>
    public static GatewayChaosOptions Of(TimeSpan length)
    {
        var halfMinutes = Math.Max(1, (int)(length.TotalSeconds / 30));
        return new(length, Callers: 12, FaultLength: TimeSpan.FromSeconds(3), Calm: TimeSpan.FromSeconds(2),
            ApiKills: halfMinutes, RedisKills: halfMinutes, DatabaseRestarts: (halfMinutes + 1) / 2);
    }
}
