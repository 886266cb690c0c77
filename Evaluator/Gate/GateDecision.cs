namespace AiAspire.Evaluator.Gate;

/// <summary>What the gate says of a candidate.</summary>
public enum Verdict
{
    /// <summary>Good enough, and shown to be no worse than the baseline.</summary>
    Ship,

    /// <summary>Not good enough, unsafe, unreliable, or significantly worse than the baseline.</summary>
    Block,

    /// <summary>The run cannot tell: more cases or repeats, a person's review, or a one-percent rollout may.</summary>
    Inconclusive,
}

/// <param name="Verdict">The strictest of what the reasons call for.</param>
/// <param name="Reasons">One sentence each, the decisive ones first.</param>
public sealed record GateDecision(Verdict Verdict, IReadOnlyList<string> Reasons);
