using AiAspire.Core.Audit;

namespace AiAspire.Unit.Audit;

[Trait("Checklist", "CONV-08")]
public sealed class AuditEncodingTests
{
    /// <summary>Written out by hand from the format's description, so that a change of the code cannot change both.</summary>
    [Fact]
    public void Every_field_is_its_length_and_its_bytes()
    {
        var entry = new AuditEntry
        {
            TenantId = new Guid("00112233-4455-6677-8899-aabbccddeeff"),
            Sequence = 258,
            EntryId = new Guid("01020304-0506-7708-890a-0b0c0d0e0f10"),
            At = new DateTimeOffset(1970, 1, 1, 1, 0, 1, TimeSpan.FromHours(1)),
            ActorKind = "user",
            ActorId = null,
            Action = "é",
            TargetKind = "",
            TargetId = null,
            RequestId = null,
            Details = "{}",
            PrevHash = new byte[32],
            Hash = [],
        };
        var expected =
            "01" + "00000010" + "00112233445566778899aabbccddeeff"
            + "00000008" + "0000000000000102"
            + "00000010" + "0102030405067708890a0b0c0d0e0f10"
            + "00000008" + "00000000000f4240"
            + "00000004" + "75736572" + "ffffffff"
            + "00000002" + "c3a9"
            + "00000000" + "ffffffff" + "ffffffff"
            + "00000002" + "7b7d"
            + "00000020" + new string('0', 64);
        Assert.Equal(expected, Convert.ToHexStringLower(AuditEncoding.Encode(entry)));
    }

    [Fact]
    public void Moving_a_letter_between_fields_changes_the_hash()
    {
        var hashes = new[] { ("ab", "c"), ("a", "bc"), ("abc", "") }
            .Select(pair => Convert.ToHexStringLower(AuditEncoding.Hash(new AuditEntry
            {
                TenantId = Chain.Tenant,
                Sequence = 1,
                EntryId = Chain.Tenant,
                At = Chain.Start,
                ActorKind = pair.Item1,
                ActorId = pair.Item2,
                Action = "x",
                Details = "{}",
                PrevHash = new byte[32],
                Hash = [],
            })));
        Assert.Equal(3, hashes.Distinct().Count());
    }
}
