using AiAspire.Core.Limits;
using AiAspire.Core.Tenancy;

namespace AiAspire.Unit.CoreTests.Limits;

public sealed class LimitWindowsTests
{
    private static readonly Entitlements All = new("pro", ["*"], ["*"], 100, 200, 300, 1024);

    [Theory]
    [InlineData("2026-03-14T00:00:00.000Z", "202603140000", "2026-03-15T00:00:00Z")]
    [InlineData("2026-03-14T23:59:59.9999999Z", "202603140000", "2026-03-15T00:00:00Z")]
    [InlineData("2026-03-15T00:00:00.000Z", "202603150000", "2026-03-16T00:00:00Z")]
    [InlineData("2026-03-15T01:30:00+02:00", "202603140000", "2026-03-15T00:00:00Z")]
    [InlineData("2024-02-28T12:00:00Z", "202402280000", "2024-02-29T00:00:00Z")]
    [InlineData("2026-12-31T23:59:59Z", "202612310000", "2027-01-01T00:00:00Z")]
    public void A_day_is_a_day_of_utc(string now, string period, string ends)
    {
        var window = Find("user_tokens_per_day", DateTimeOffset.Parse(now));

        Assert.EndsWith(":" + period, window.Key, StringComparison.Ordinal);
        Assert.Equal(DateTimeOffset.Parse(ends), window.Ends);
        Assert.Equal(TimeSpan.Zero, window.Ends.Offset);
    }

    [Theory]
    [InlineData("2026-03-14T15:09:00Z", "202603141509", "2026-03-14T15:10:00Z")]
    [InlineData("2026-03-14T15:09:59.9999999Z", "202603141509", "2026-03-14T15:10:00Z")]
    [InlineData("2026-03-14T15:10:00Z", "202603141510", "2026-03-14T15:11:00Z")]
    [InlineData("2026-03-14T20:39:30+05:30", "202603141509", "2026-03-14T15:10:00Z")]
    public void A_minute_is_a_minute_of_the_clock(string now, string period, string ends)
    {
        var window = Find("tenant_tokens_per_minute", DateTimeOffset.Parse(now));

        Assert.EndsWith(":" + period, window.Key, StringComparison.Ordinal);
        Assert.Equal(DateTimeOffset.Parse(ends), window.Ends);
    }

    [Fact]
    [Trait("Checklist", "COST-03")]
    public void Users_share_their_tenants_windows_and_nothing_else()
    {
        var tenant = SampleCalls.Id();
        var (alice, bob, stranger) = (SampleCalls.Caller(All, tenant), SampleCalls.Caller(All, tenant), SampleCalls.Caller(All));
        string[] Keys(Caller caller) => [.. LimitWindows.For(caller, "chat", [], SampleCalls.Now).Select(w => w.Key)];

        Assert.Equal(3, Keys(alice).Distinct().Count());
        Assert.NotEqual(Keys(alice)[0], Keys(bob)[0]);
        Assert.Equal(Keys(alice)[1..], Keys(bob)[1..]);
        Assert.Empty(Keys(alice).Intersect(Keys(stranger)));
        // One user id in two tenants is two users.
        Assert.Empty(Keys(alice).Intersect(Keys(SampleCalls.Caller(All, user: alice.UserId) with { Pseudonym = alice.Pseudonym })));
    }

    [Fact]
    public void A_new_day_has_new_keys()
        => Assert.Empty(Keys(SampleCalls.Now).Intersect(Keys(SampleCalls.Now.AddDays(1))));

    [Fact]
    public void Only_the_limits_that_exist_are_windows()
    {
        Assert.Empty(LimitWindows.For(SampleCalls.Caller(), "chat", [], SampleCalls.Now));
        Assert.Equal([100, 200, 300], LimitWindows.For(SampleCalls.Caller(All), "chat", [], SampleCalls.Now).Select(w => w.Limit));
    }

    [Fact]
    public void A_window_outlives_its_end_for_those_who_began_in_it()
    {
        var window = Find("user_tokens_per_day", SampleCalls.Now);

        Assert.Equal(TimeSpan.FromHours(1), window.TimeToLive(window.Ends));
    }

    private static readonly Caller Someone = SampleCalls.Caller(All);

    private static IEnumerable<string> Keys(DateTimeOffset now) => LimitWindows.For(Someone, "chat", [], now).Select(w => w.Key);

    private static LimitWindow Find(string name, DateTimeOffset now) => LimitWindows.For(Someone, "chat", [], now).Single(w => w.Name == name);
}
