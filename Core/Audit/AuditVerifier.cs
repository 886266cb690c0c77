namespace AiAspire.Core.Audit;

/// <summary>What is wrong with a chain.</summary>
public enum AuditFault
{
    None,

    /// <summary>An entry's content does not give its hash.</summary>
    Altered,

    /// <summary>A sequence is missing between others.</summary>
    Missing,

    /// <summary>An entry does not continue the one before it: one was put in, exchanged or moved.</summary>
    Unlinked,

    /// <summary>The chain ends before its head, or before a signed head.</summary>
    Truncated,

    /// <summary>The chain is consistent in itself, but not the one whose head was signed.</summary>
    Rewritten,

    /// <summary>The heads file has a line that our key did not sign.</summary>
    ForgedHead,

    /// <summary>Heads that were signed are not in the heads file any more: it is gone, or has lost lines.</summary>
    HeadsMissing,
}

/// <summary>The outcome of a verification.</summary>
/// <param name="TenantId">Whose chain.</param>
/// <param name="Entries">Entries that were read.</param>
/// <param name="Fault">The first fault.</param>
/// <param name="FirstBadSequence">Where it is; null without a fault.</param>
/// <param name="SignedSequence">The last sequence that a signed head covers; what comes after rests on the database alone.</param>
public sealed record AuditVerification(Guid TenantId, long Entries, AuditFault Fault, long? FirstBadSequence, long SignedSequence)
{
    public bool IsIntact => Fault == AuditFault.None;
}

/// <summary>
/// Recomputes a chain and holds it against the heads signed outside the database, which alone show a tail cut off, a chain rewritten
/// from some point on, or one that is gone altogether.
/// </summary>
public sealed class AuditVerifier
{
    private readonly AuditReader _reader;
    private readonly HeadsFile _heads;
    private readonly HeadSigningKey _key;
    private readonly TimeProvider _time;

    internal AuditVerifier(AuditReader reader, HeadsFile heads, HeadSigningKey key, TimeProvider time)
        => (_reader, _heads, _key, _time) = (reader, heads, key, time);

    public async Task<AuditVerification> VerifyAsync(Guid tenantId, CancellationToken cancellationToken)
    {
        // In this order: a head is in the file before the mark rises, and the chain is there before its head.
        var mark = (await _reader.HeadAsync(tenantId, cancellationToken))?.SignedSequence ?? 0;
        return await VerifyAsync(
            tenantId,
            await _heads.ReadAsync(_time, cancellationToken),
            mark,
            _key,
            after => _reader.ReadAsync(tenantId, after, long.MaxValue, cancellationToken),
            () => _reader.HeadAsync(tenantId, cancellationToken));
    }

    /// <param name="tenantId">Whose chain.</param>
    /// <param name="lines">The heads file; null for a line that a crash cut, which the next one covers.</param>
    /// <param name="mark">Up to where a head was signed, as the database remembers it.</param>
    /// <param name="key">What the heads must be signed with.</param>
    /// <param name="entriesAfter">The chain after a sequence.</param>
    /// <param name="readHead">The head as the database has it.</param>
    internal static async Task<AuditVerification> VerifyAsync(
        Guid tenantId,
        IReadOnlyList<SignedHead?> lines,
        long mark,
        HeadSigningKey key,
        Func<long, IAsyncEnumerable<AuditEntry>> entriesAfter,
        Func<Task<AuditHead?>> readHead)
    {
        var signed = lines.OfType<SignedHead>().Where(h => h.TenantId == tenantId).OrderBy(h => h.Sequence).ToList();
        var covered = signed.Where(h => h.IsSignedBy(key)).Select(h => h.Sequence).DefaultIfEmpty(0).Max();
        var walk = new ChainWalk(0, new byte[AuditEncoding.HashBytes]);
        var finding = signed.Find(h => !h.IsSignedBy(key)) is { } forged ? new Finding(AuditFault.ForgedHead, forged.Sequence) : null;
        AuditHead? head = null;
        // Entries and head commit together, so the head read after a walk is never behind it, and what was appended meanwhile is walked too.
        for (long start = -1; finding is null && start < walk.Sequence && (head is null || head.Sequence > walk.Sequence);)
        {
            start = walk.Sequence;
            finding = await WalkAsync(walk, entriesAfter(start), signed);
            head = await readHead();
        }

        finding ??= CompareEnd(walk, head, covered);
        if (finding is null && covered < mark)
            finding = new Finding(AuditFault.HeadsMissing, covered + 1);
        return new AuditVerification(tenantId, walk.Count, finding?.Fault ?? AuditFault.None, finding?.Sequence, covered);
    }

    private static async Task<Finding?> WalkAsync(ChainWalk walk, IAsyncEnumerable<AuditEntry> entries, List<SignedHead> signed)
    {
        var next = signed.FindIndex(h => h.Sequence > walk.Sequence);
        var lastProven = walk.Sequence;
        await foreach (var entry in entries)
        {
            if (walk.Take(entry) is var fault and not AuditFault.None)
                return new Finding(fault, walk.Sequence + 1);
            for (; next >= 0 && next < signed.Count && signed[next].Sequence == walk.Sequence; next++)
            {
                // Where the rewriting began cannot be told, only up to where the chain is still the signed one.
                if (!signed[next].Hash.AsSpan().SequenceEqual(walk.Hash))
                    return new Finding(AuditFault.Rewritten, lastProven + 1);
                lastProven = walk.Sequence;
            }
        }

        return null;
    }

    private static Finding? CompareEnd(ChainWalk walk, AuditHead? head, long covered)
    {
        var headSequence = head?.Sequence ?? 0;
        if (walk.Sequence < Math.Max(covered, headSequence))
            return new Finding(AuditFault.Truncated, walk.Sequence + 1);
        if (walk.Sequence > headSequence)
            return new Finding(AuditFault.Unlinked, headSequence + 1);
        return head is null || head.Hash.AsSpan().SequenceEqual(walk.Hash) ? null : new Finding(AuditFault.Rewritten, walk.Sequence);
    }

    private sealed record Finding(AuditFault Fault, long Sequence);
}

/// <summary>Follows a chain entry by entry.</summary>
internal sealed class ChainWalk(long sequence, byte[] hash)
{
    /// <summary>The last good entry.</summary>
    public long Sequence { get; private set; } = sequence;

    public byte[] Hash { get; private set; } = hash;

    /// <summary>Entries that were read, good or bad.</summary>
    public long Count { get; private set; }

    public AuditFault Take(AuditEntry entry)
    {
        Count++;
        if (entry.Sequence != Sequence + 1)
            return AuditFault.Missing;
        if (!entry.PrevHash.AsSpan().SequenceEqual(Hash))
            return AuditFault.Unlinked;
        if (!entry.Hash.AsSpan().SequenceEqual(AuditEncoding.Hash(entry)))
            return AuditFault.Altered;
        (Sequence, Hash) = (entry.Sequence, entry.Hash);
        return AuditFault.None;
    }
}
