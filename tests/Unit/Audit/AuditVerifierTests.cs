using AiAspire.Core.Audit;

namespace AiAspire.Unit.Audit;

[Trait("Checklist", "CONV-08")]
public sealed class AuditVerifierTests
{
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(9)]
    public async Task A_chain_as_it_was_written_is_intact(int length)
    {
        var found = await Chain.Of(length, 1, 5).VerifyAsync();
        Assert.True(found.IsIntact);
        Assert.Null(found.FirstBadSequence);
        Assert.Equal(length, found.Entries);
        Assert.Equal(length switch { 0 => 0, < 5 => 1, _ => 5 }, found.SignedSequence);
    }

    [Fact]
    public async Task An_edited_entry_is_found()
    {
        var chain = Chain.Of(9);
        var old = chain.Entries[3];
        chain.Entries[3] = Chain.Linked(4, old.PrevHash, "thing.edited", old.Hash);
        await FindAsync(chain, AuditFault.Altered, 4);
    }

    [Fact]
    public async Task A_deleted_entry_is_found()
    {
        var chain = Chain.Of(9);
        chain.Entries.RemoveAt(3);
        await FindAsync(chain, AuditFault.Missing, 4);
    }

    [Fact]
    public async Task The_first_entry_deleted_is_found()
    {
        var chain = Chain.Of(9);
        chain.Entries.RemoveAt(0);
        await FindAsync(chain, AuditFault.Missing, 1);
    }

    [Fact]
    public async Task Two_entries_that_changed_places_are_found()
    {
        var chain = Chain.Of(9);
        var (fourth, fifth) = (chain.Entries[3], chain.Entries[4]);
        chain.Entries[3] = Chain.Linked(4, fifth.PrevHash, fifth.Action, fifth.Hash);
        chain.Entries[4] = Chain.Linked(5, fourth.PrevHash, fourth.Action, fourth.Hash);
        await FindAsync(chain, AuditFault.Unlinked, 4);
    }

    [Fact]
    public async Task An_entry_put_in_is_found_where_the_old_ones_no_longer_follow()
    {
        var chain = Chain.Of(9);
        chain.Entries.Insert(3, Chain.Linked(4, chain.Entries[2].Hash, "thing.forged"));
        for (var i = 4; i < chain.Entries.Count; i++)
            chain.Entries[i] = Chain.Linked(i + 1, chain.Entries[i].PrevHash, chain.Entries[i].Action, chain.Entries[i].Hash);
        await FindAsync(chain, AuditFault.Unlinked, 5);
    }

    [Fact]
    public async Task An_entry_put_in_beyond_the_head_is_found()
    {
        var chain = Chain.Of(9);
        chain.Entries.Add(Chain.Linked(10, chain.Entries[^1].Hash, "thing.forged"));
        await FindAsync(chain, AuditFault.Unlinked, 10);
    }

    [Fact]
    public async Task A_tail_cut_off_is_found_by_the_signed_head_even_when_the_databases_head_was_cut_with_it()
    {
        var chain = Chain.Of(9, 8);
        chain.Entries.RemoveRange(5, 4);
        chain.Head = chain.HeadOf(5);
        await FindAsync(chain, AuditFault.Truncated, 6);
    }

    [Fact]
    public async Task A_chain_wiped_out_is_found_by_the_signed_head()
    {
        var chain = Chain.Of(9, 8);
        chain.Entries.Clear();
        chain.Head = null;
        await FindAsync(chain, AuditFault.Truncated, 1);
    }

    [Fact]
    public async Task A_chain_rewritten_without_a_flaw_differs_from_the_signed_head()
    {
        var chain = Chain.Of(9, 3, 8);
        chain.RewriteFrom(6);
        // Between the last signed head that agrees (3) and the first that does not (8).
        await FindAsync(chain, AuditFault.Rewritten, 4);
    }

    [Fact]
    public async Task A_head_of_another_key_is_forged()
    {
        var chain = Chain.Of(9, 3);
        chain.Heads.Add(SignedHead.Sign(HeadSigningKey.Create(), Chain.Tenant, 9, chain.Entries[8].Hash, Chain.Start));
        await FindAsync(chain, AuditFault.ForgedHead, 9);
    }

    [Fact]
    public async Task A_head_whose_sequence_was_changed_is_forged()
    {
        var chain = Chain.Of(9, 8);
        chain.Heads[0] = chain.Heads[0]! with { Sequence = 5 };
        await FindAsync(chain, AuditFault.ForgedHead, 5);
    }

    [Theory]
    [InlineData(0, 1)]
    [InlineData(1, 4)]
    public async Task Heads_that_were_signed_and_are_not_in_the_file_are_missed(int left, long sequence)
    {
        var chain = Chain.Of(9, 3, 7);
        chain.Heads.RemoveRange(left, chain.Heads.Count - left);
        await FindAsync(chain, AuditFault.HeadsMissing, sequence);
    }

    [Fact]
    public async Task Heads_of_other_tenants_and_lines_cut_by_a_crash_do_not_matter()
    {
        var chain = Chain.Of(3, 3);
        chain.Heads.Add(null);
        chain.Heads.Add(SignedHead.Sign(chain.Key, Guid.Empty, 100, new byte[32], Chain.Start));
        Assert.True((await chain.VerifyAsync()).IsIntact);
    }

    [Fact]
    public async Task Entries_appended_during_the_verification_are_followed()
    {
        var chain = Chain.Of(9);
        var late = Chain.Of(12);
        var reads = 0;
        var found = await AuditVerifier.VerifyAsync(
            Chain.Tenant,
            [],
            mark: 0,
            chain.Key,
            after => (reads++ == 0 ? chain : late).Entries.Where(e => e.Sequence > after).ToAsyncEnumerable(),
            () => Task.FromResult(late.Head));
        Assert.True(found.IsIntact);
        Assert.Equal(12, found.Entries);
    }

    private static async Task FindAsync(Chain chain, AuditFault fault, long sequence)
    {
        var found = await chain.VerifyAsync();
        Assert.Equal((fault, sequence), (found.Fault, found.FirstBadSequence));
        Assert.False(found.IsIntact);
    }
}
