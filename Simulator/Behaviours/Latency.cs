using System.Text.Json.Serialization;

namespace AiAspire.Simulator.Behaviours;

/// <summary>A distribution of waiting times in milliseconds, drawn from two uniform numbers so that a run can be repeated.</summary>
public sealed record Latency
{
    private const double Z99 = 2.3263478740408408;

    public static Latency None { get; } = new() { Ms = 0 };

    /// <summary><c>fixed</c>, <c>uniform</c> or <c>lognormal</c>.</summary>
    public string Kind { get; init; } = "fixed";

    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public double? Ms { get; init; }

    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public double? MinMs { get; init; }

    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public double? MaxMs { get; init; }

    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public double? P50Ms { get; init; }

    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public double? P99Ms { get; init; }

    /// <param name="u1">In [0, 1).</param>
    /// <param name="u2">In [0, 1).</param>
    public TimeSpan Draw(double u1, double u2) => TimeSpan.FromMilliseconds(this switch
    {
        { MinMs: { } min, MaxMs: { } max } => min + ((max - min) * u1),
        { P50Ms: { } p50, P99Ms: { } p99 } => p50 * Math.Exp(Math.Log(p99 / p50) / Z99 * Normal(u1, u2)),
        _ => Ms ?? 0,
    });

    /// <summary>Box–Muller.</summary>
    private static double Normal(double u1, double u2) => Math.Sqrt(-2 * Math.Log(1 - u1)) * Math.Cos(2 * Math.PI * u2);
}
