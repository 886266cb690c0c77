using System.ComponentModel.DataAnnotations;

namespace AiAspire.Core.Limits;

/// <summary>What holds when the counters cannot be reached.</summary>
public enum WithoutCounters
{
    /// <summary>Calls that have a limit are refused with 503.</summary>
    Refuse,

    /// <summary>Each process allows itself a share of every limit, counted in its memory.</summary>
    LocalShare,
}

/// <summary>Section <c>Limits</c>.</summary>
public sealed class LimitsOptions
{
    public const string Section = "Limits";

    /// <summary>Default: refuse, for without counters no limit holds.</summary>
    public WithoutCounters WithoutCounters { get; init; }

    /// <summary>
    /// Percent of each limit that one process may use in a period while Redis is away. With as many processes as 100 divided by this, all
    /// of them together stay within the limit. Default 10.
    /// </summary>
    [Range(1, 100)]
    public int LocalSharePercent { get; init; } = 10;
}
