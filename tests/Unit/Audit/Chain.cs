using System.Globalization;
using AiAspire.Core.Audit;

namespace AiAspire.Unit.Audit;

/// <summary>A chain in memory, to be tampered with.</summary>
internal sealed class Chain
{
    public static readonly Guid Tenant = new("01990000-0000-7000-8000-00000000000a");
    public static readonly DateTimeOffset Start = new(2026, 3, 1, 12, 0, 0, TimeSpan.Zero);

    public List<AuditEntry> Entries { get; } = [];

    public List<SignedHead?> Heads { get; } = [];

    public AuditHead? Head { get; set; }

    /// <summary>Up to where a head was signed, as the database remembers it.</summary>
    public long Mark { get; set; }

    public HeadSigningKey Key { get; } = HeadSigningKey.Create();

    public static Chain Of(int length, params int[] signedAt)
    {
        var chain = new Chain();
        for (var i = 1; i <= length; i++)
        {
            chain.Entries.Add(Linked(i, chain.Entries.Count == 0 ? new byte[32] : chain.Entries[^1].Hash, "thing.changed"));
            chain.Head = chain.HeadOf(i);
            if (signedAt.Contains(i))
                chain.Sign(i);
        }

        return chain;
    }

    public static AuditEntry Linked(long sequence, byte[] previous, string action, byte[]? hash = null)
    {
        var entry = new AuditEntry
        {
            TenantId = Tenant,
            Sequence = sequence,
            EntryId = new Guid(string.Create(CultureInfo.InvariantCulture, $"01990000-0000-7000-8000-{sequence:x12}")),
            At = Start.AddSeconds(sequence),
            ActorKind = "system",
            Action = action,
            Details = "{}",
            PrevHash = previous,
            Hash = hash ?? [],
        };
        return hash is null ? Linked(sequence, previous, action, AuditEncoding.Hash(entry)) : entry;
    }

    /// <summary>Writes this and all after anew, each consistent with the one before, as someone would who knows the format.</summary>
    public void RewriteFrom(int sequence)
    {
        for (var i = sequence; i <= Entries.Count; i++)
            Entries[i - 1] = Linked(i, i == 1 ? new byte[32] : Entries[i - 2].Hash, i == sequence ? "thing.rewritten" : "thing.changed");
        Head = HeadOf(Entries.Count);
    }

    public AuditHead HeadOf(int sequence)
        => new() { TenantId = Tenant, Sequence = sequence, Hash = Entries[sequence - 1].Hash, At = Start };

    public void Sign(int sequence)
    {
        Heads.Add(SignedHead.Sign(Key, Tenant, sequence, Entries[sequence - 1].Hash, Start));
        Mark = Math.Max(Mark, sequence);
    }

    public Task<AuditVerification> VerifyAsync() => AuditVerifier.VerifyAsync(
        Tenant, Heads, Mark, Key, after => Entries.Where(e => e.Sequence > after).OrderBy(e => e.Sequence).ToAsyncEnumerable(), () => Task.FromResult(Head));
}
