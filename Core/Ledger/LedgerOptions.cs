using System.ComponentModel.DataAnnotations;

namespace AiAspire.Core.Ledger;

/// <summary>Section <c>Ledger</c>.</summary>
public sealed class LedgerOptions
{
    public const string Section = "Ledger";

    /// <summary>
    /// Seconds after which an attempt that nobody settled counts as abandoned; longer than any call may take. A call that takes longer
    /// all the same is settled with its true figures when it ends. Default 900.
    /// </summary>
    [Range(1, 86_400)]
    public double AttemptLeaseSeconds { get; init; } = 900;
}
