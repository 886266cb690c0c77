using System.Globalization;

namespace AiAspire.Load.Crash;

/// <summary>What became of the jobs.</summary>
internal sealed record CrashResult
{
    /// <summary>Orphans must be in a worker's hands again within this time.</summary>
    private const double OrphanLimitSeconds = 60;

    public required CrashOptions Options { get; init; }

    public required TimeSpan Elapsed { get; init; }

    public required int Kills { get; init; }

    public required int Restarts { get; init; }

    public required int Succeeded { get; init; }

    /// <summary>Given up after all their tries: told, listed, and ready to be redriven.</summary>
    public required int DeadLetters { get; init; }

    /// <summary>Accepted, and neither waiting nor over.</summary>
    public required int Lost { get; init; }

    public required long Starts { get; init; }

    public required int ResultsTwice { get; init; }

    public required int ChargedTwice { get; init; }

    public required int NotCharged { get; init; }

    /// <summary>Of the first 200, answers to another job's question.</summary>
    public required int WrongResults { get; init; }

    public required int BillLines { get; init; }

    public required int BillWithoutAttempt { get; init; }

    /// <summary>Calls whose process died before it could say how they ended and that nobody had closed when the last job was over.</summary>
    public required int OpenAtEnd { get; init; }

    /// <summary>Of these and those before them, what the reconciler closed at the estimate.</summary>
    public required int Abandoned { get; init; }

    public required double ClosingSeconds { get; init; }

    public required int StillOpen { get; init; }

    public required int Orphans { get; init; }

    public required double SlowestOrphanSeconds { get; init; }

    public IEnumerable<string> Faults()
    {
        if (Lost > 0)
            yield return $"{Lost} jobs lost";
        if (DeadLetters > 0)
            yield return $"{DeadLetters} jobs given up";
        if (Succeeded != Options.Jobs)
            yield return $"{Succeeded} of {Options.Jobs} jobs succeeded";
        if (ResultsTwice > 0)
            yield return $"{ResultsTwice} results stored twice";
        if (ChargedTwice > 0)
            yield return $"{ChargedTwice} jobs charged twice";
        if (NotCharged > 0)
            yield return $"{NotCharged} jobs not charged";
        if (WrongResults > 0)
            yield return $"{WrongResults} wrong results";
        if (BillWithoutAttempt > 0)
            yield return $"{BillWithoutAttempt} lines of the bill without an attempt";
        if (StillOpen > 0)
            yield return $"{StillOpen} attempts still open {ClosingSeconds:0} s after the last job";
        if (SlowestOrphanSeconds > OrphanLimitSeconds)
            yield return $"an orphan waited {SlowestOrphanSeconds:0} s";
        if (Kills == 0 || Restarts != Options.DatabaseRestarts)
            yield return $"only {Kills} kills and {Restarts} restarts of the database happened";
    }

    public string ToMarkdown()
    {
        var faults = Faults().ToList();
        return string.Create(
            CultureInfo.InvariantCulture,
            $"""
            | {Options.Jobs} jobs of 4 tenants, {Options.Workers} workers, {Elapsed.TotalSeconds:0} s | |
            |---|--:|
            | Workers killed (SIGKILL, every {Options.KillEvery.TotalSeconds:0.#} s) | {Kills} |
            | Restarts of PostgreSQL | {Restarts} |
            | Provider calls that fail | {Options.ErrorRates.Values.Sum():P0} |
            | Jobs succeeded | {Succeeded} |
            | Jobs given up (dead letters) | {DeadLetters} |
            | **Jobs lost** | **{Lost}** |
            | **Results stored twice** | **{ResultsTwice}** |
            | **Jobs charged twice** | **{ChargedTwice}** |
            | Jobs succeeded but not charged | {NotCharged} |
            | Wrong results (of 200 read) | {WrongResults} |
            | Starts of jobs | {Starts} |
            | Lines on the providers' bills | {BillLines} |
            | **Lines without an attempt in the ledger** | **{BillWithoutAttempt}** |
            | Attempts left open by dead workers when the last job was over | {OpenAtEnd} |
            | Attempts of dead workers closed by the reconciler, at the estimate, charged to nobody | {Abandoned} |
            | **Attempts still open {ClosingSeconds:0} s later** | **{StillOpen}** |
            | Jobs orphaned by a kill | {Orphans} |
            | Slowest orphan back in hand, s | {SlowestOrphanSeconds:0.0} |

            {(faults.Count == 0 ? "Sound." : "**NOT SOUND**: " + string.Join("; ", faults) + ".")}
            """);
    }
}
