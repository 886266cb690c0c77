using System.Globalization;

namespace AiAspire.Load.Gateway;

/// <summary>What became of the requests.</summary>
internal sealed record GatewayChaosResult(
    GatewayChaosOptions Options, TimeSpan Elapsed, IReadOnlyDictionary<string, int> Met, IReadOnlyList<Outcome> Outcomes, GatewayBooks Books, IReadOnlyList<CounterCheck> Counters)
{
    private const double MustBeServed = 0.999;

    private readonly Outcome[] _waitedFor = [.. Outcomes.Where(o => !o.Forsaken)];

    /// <summary>Of the requests whose caller waited for the end, or came back for it.</summary>
    public double Served => _waitedFor.Length == 0 ? 0 : (double)_waitedFor.Count(o => o.Served) / _waitedFor.Length;

    private double ServedAtOnce => _waitedFor.Length == 0 ? 0 : (double)_waitedFor.Count(o => o.Served && o.Tries.Count == 1) / _waitedFor.Length;

    /// <summary>What another provider must answer without the caller's doing: asked whole, by one who waits, while one provider misbehaves and nothing else.</summary>
    private Outcome[] ForFallback => [.. Outcomes.Where(o => o is { AllProcessesWell: true, Question: { Stream: false, Leaving: Leaving.Never } })];

    private Outcome[] WithoutFallback => [.. ForFallback.Where(o => o.Tries[0].End != TryEnd.Whole)];

    private IEnumerable<Try> Lies => Outcomes.SelectMany(o => o.Tries).Where(t => t.End == TryEnd.Lie);

    private int ChargedTwice => Outcomes.Count(o => Books.Charges.GetValueOrDefault(o.Question.Conversation) > 1);

    private int NotCharged => Outcomes.Count(o => o.Served && !Books.Charges.ContainsKey(o.Question.Conversation));

    /// <summary>Told that it failed, and charged all the same. A caller whose connection broke was told nothing, nor one who did not wait for what is in progress.</summary>
    private int ChargedInVain => Outcomes.Count(o => o.End is TryEnd.Refused or TryEnd.EndedEarly && !o.Tries[^1].InProgress && Books.Charges.ContainsKey(o.Question.Conversation));

    public IEnumerable<string> Faults()
    {
        if (Outcomes.Count < 100)
            yield return $"only {Outcomes.Count} requests";
        if (Lies.Any())
            yield return $"{Lies.Count()} untruthful ends, such as: {string.Join("; ", Lies.Take(3).Select(l => l.Detail))}";
        if (Served < MustBeServed)
            yield return string.Create(CultureInfo.InvariantCulture, $"only {Served:P3} served, not: {string.Join("; ", _waitedFor.Where(o => !o.Served).Take(5).Select(Tell))}");
        // Callers who come again would hide that nobody else was asked. One of a few hundred is within the bound, too. In a short run something is always broken.
        if (WithoutFallback.Length > Math.Max(1, ForFallback.Length * (1 - MustBeServed)))
            yield return $"{WithoutFallback.Length} of {ForFallback.Length} not served at the first try while only a provider failed: {string.Join("; ", WithoutFallback.Take(5).Select(Tell))}";
        if (ChargedTwice > 0)
            yield return $"{ChargedTwice} requests charged twice";
        if (NotCharged > 0)
            yield return $"{NotCharged} served and not charged";
        if (ChargedInVain > 0)
            yield return $"{ChargedInVain} failed and charged";
        if (Books.Open > 0)
            yield return $"{Books.Open} attempts left open";
        if (Books.WithoutAttempt > 0)
            yield return $"{Books.WithoutAttempt} lines of the bills without an attempt";
        if (Books.Different > 0)
            yield return $"{Books.Different} attempts with other tokens than the bill";
        if (Books.WithoutLine > 0)
            yield return $"{Books.WithoutLine} attempts with the provider's numbers and no line on its bill";
        if (Books.BeyondBound > 0)
            yield return $"{Books.BeyondBound} lines of the bills above the reservation";
        foreach (var counter in Counters.Where(c => !c.IsEqual))
            yield return $"{counter.Name}: {counter.Counter} in Redis ({counter.Held} of it reserved), {counter.Ledger} in the ledger";
        if (Met.GetValueOrDefault("Api killed") < Options.ApiKills || Met.GetValueOrDefault("Redis killed") < Options.RedisKills || Met.GetValueOrDefault("PostgreSQL restarted") < Options.DatabaseRestarts)
            yield return $"not all of the kills and restarts happened: {string.Join(", ", Met.Select(m => $"{m.Key} {m.Value}"))}";
    }

    public string ToMarkdown()
    {
        var faults = Faults().ToList();
        var tries = Outcomes.SelectMany(o => o.Tries).ToList();
        return string.Create(
            CultureInfo.InvariantCulture,
            $"""
            | {Outcomes.Count} requests of {Options.Callers} callers, {GatewayChaosOptions.Replicas} replicas of the Api, {Elapsed.TotalSeconds:0} s | |
            |---|--:|
            | Faults of providers, one at a time | {ProviderFault.All.Sum(f => Met.GetValueOrDefault(f.Name))} |
            | Kinds of them met | {ProviderFault.All.Count(f => Met.ContainsKey(f.Name))} of {ProviderFault.All.Count} |
            | Api killed (SIGKILL) | {Met.GetValueOrDefault("Api killed")} |
            | Redis killed (SIGKILL, all its data gone) | {Met.GetValueOrDefault("Redis killed")} |
            | PostgreSQL restarted | {Met.GetValueOrDefault("PostgreSQL restarted")} |
            | Callers who left | {Outcomes.Count(o => o.Tries.Any(t => t.End == TryEnd.Left))} |
            | … of whom asked again | {Outcomes.Count(o => o.Tries.Any(t => t.End == TryEnd.Left) && !o.Forsaken)} |
            | **Served, of those waited for** | **{Served:P3}** |
            | … at the first try | {ServedAtOnce:P1} |
            | Whole answers asked for while only a provider failed | {ForFallback.Length} |
            | **… served at the first try** | **{ForFallback.Length - WithoutFallback.Length}** |
            | Tries refused with an error | {tries.Count(t => t.End == TryEnd.Refused)} |
            | Tries ended early with an error event | {tries.Count(t => t.End == TryEnd.EndedEarly)} |
            | Tries whose connection broke | {tries.Count(t => t.End == TryEnd.Broken)} |
            | **Untruthful ends** | **{Lies.Count()}** |
            | **Requests charged twice** | **{ChargedTwice}** |
            | Served and not charged | {NotCharged} |
            | Failed and charged | {ChargedInVain} |
            | Attempts in the ledger ({string.Join(", ", Books.Attempts.OrderBy(a => a.Key, StringComparer.Ordinal).Select(a => $"{a.Key} {a.Value}"))}) | {Books.Attempts.Values.Sum()} |
            | **Attempts left open** | **{Books.Open}** |
            | Lines on the providers' bills | {Books.BillLines} |
            | **Lines without an attempt** | **{Books.WithoutAttempt}** |
            | **Attempts with the provider's numbers that differ from its bill** | **{Books.Different + Books.WithoutLine}** |
            | Tokens billed where only a bound is promised (beyond the bound) | {Books.BoundedBill} ({Books.BeyondBound}) |
            | Tokens in the ledger for them | {Books.BoundedLedger} |
            | **Counters in Redis that equal the ledger** | **{Counters.Count(c => c.IsEqual)} of {Counters.Count}** |

            {(faults.Count == 0 ? "Sound." : "**NOT SOUND**: " + string.Join("; ", faults) + ".")}
            """);
    }

    private static string Tell(Outcome outcome) => $"{outcome.Question.Model} {string.Join(" → ", outcome.Tries.Select(t => $"{t.End} {t.Detail}"))}";
}
