using AiAspire.Core.Jobs;
using Microsoft.Extensions.Time.Testing;

namespace AiAspire.Unit.Core.Jobs;

public sealed class ClaimCursorTests
{
    private static readonly Guid Tenant = new(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11);
    private readonly FakeTimeProvider _time = new(new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero));
    private readonly ClaimCursor _cursor;

    public ClaimCursorTests() => _cursor = new ClaimCursor(_time);

    [Fact]
    public void A_worker_that_has_claimed_nothing_looks_at_everything()
    {
        for (var i = 0; i < 2; i++)
        {
            var look = _cursor.Begin();
            Assert.Equal((null, null), (look.Tenants, look.RunningSince));
            look.End();
            Assert.Null(_cursor.LooksAtAllIn);
        }
    }

    [Fact]
    public void Looks_at_everything_take_a_fifth_of_the_time()
    {
        LookAtAll(TimeSpan.FromMilliseconds(50));

        _time.Advance(TimeSpan.FromMilliseconds(150));
        var near = _cursor.Begin();
        Assert.NotNull(near.Tenants);
        near.End();
        Assert.Equal(TimeSpan.FromMilliseconds(50), _cursor.LooksAtAllIn);

        _time.Advance(TimeSpan.FromMilliseconds(50));
        Assert.Null(_cursor.Begin().Tenants);
    }

    [Fact]
    public void The_next_claim_goes_on_a_little_before_where_the_last_one_ended()
    {
        var now = _time.GetUtcNow();
        var look = _cursor.Begin();
        look.Took(Tenant, 0, now, now.AddSeconds(-3));
        look.Took(Tenant, 0, now.AddSeconds(-9), now.AddSeconds(-3));
        look.Took(Tenant, 5, now.AddSeconds(-1), now.AddSeconds(-3));
        _time.Advance(TimeSpan.FromMilliseconds(1));
        look.End();

        var next = _cursor.Begin();

        Assert.Equal(now.AddSeconds(-3), next.RunningSince);
        Assert.Equal([Tenant, Tenant], next.Tenants!);
        Assert.Equal([(short)0, (short)5], next.Priorities!);
        Assert.Equal([now.AddSeconds(-0.5), now.AddSeconds(-1.5)], next.From!);
    }

    [Fact]
    public void Tenants_without_jobs_are_forgotten()
    {
        LookAtAll(TimeSpan.FromMilliseconds(1));
        _time.Advance(TimeSpan.FromMinutes(2));
        var look = _cursor.Begin();
        look.Took(Guid.AllBitsSet, 0, _time.GetUtcNow(), _time.GetUtcNow());
        _time.Advance(TimeSpan.FromMilliseconds(1));
        look.End();

        Assert.DoesNotContain(Tenant, _cursor.Begin().Tenants!);
    }

    [Fact]
    [Trait("Checklist", "LOAD-08")]
    public void Every_eighth_claim_that_brings_something_takes_the_oldest_jobs_and_not_the_most_urgent()
    {
        var oldestFirst = new List<int>();
        for (var claim = 1; claim <= 24; claim++)
        {
            // Nobody waits: counts for nothing.
            _cursor.Begin().End();
            var look = _cursor.Begin();
            if (look.OldestFirst)
                oldestFirst.Add(claim);
            look.Took(Tenant, 5, _time.GetUtcNow(), _time.GetUtcNow());
            look.End();
        }

        Assert.Equal([8, 16, 24], oldestFirst);
    }

    [Fact]
    public void A_claim_that_goes_by_hints_never_does_and_the_next_that_looks_at_everything_makes_up_for_it()
    {
        LookAtAll(TimeSpan.FromMilliseconds(50));
        for (var claim = 2; claim <= 9; claim++)
        {
            var near = _cursor.Begin();
            Assert.Equal((true, false), (near.Tenants is not null, near.OldestFirst));
            near.Took(Tenant, 0, _time.GetUtcNow(), _time.GetUtcNow());
            near.End();
        }

        _time.Advance(TimeSpan.FromMilliseconds(200));
        Assert.True(_cursor.Begin().OldestFirst);
    }

    private void LookAtAll(TimeSpan duration)
    {
        var look = _cursor.Begin();
        look.Took(Tenant, 0, _time.GetUtcNow(), _time.GetUtcNow());
        _time.Advance(duration);
        look.End();
    }
}
