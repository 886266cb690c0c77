using AiAspire.Core.Jobs;

namespace AiAspire.Unit.CoreTests.Jobs;

public sealed class JobBackoffTests
{
    [Fact]
    [Trait("Checklist", "COST-09")]
    public void Waits_double_from_a_second_to_five_minutes_and_half_of_each_is_drawn_by_lot()
    {
        double[] longest = [.. Enumerable.Range(1, 12).Select(n => JobBackoff.Next(n, null, 1).TotalSeconds)];

        Assert.Equal([1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300], longest);
        Assert.Equal(longest.Select(w => w / 2), Enumerable.Range(1, 12).Select(n => JobBackoff.Next(n, null, 0).TotalSeconds));
    }

    [Theory]
    [InlineData(1, 30)]
    [InlineData(10, 30)]
    [InlineData(1, 3600)]
    [Trait("Checklist", "COST-09")]
    public void Never_before_the_time_the_provider_named_and_not_all_at_that_time(int times, int asked)
    {
        var (least, most) = (JobBackoff.Next(times, TimeSpan.FromSeconds(asked), 0), JobBackoff.Next(times, TimeSpan.FromSeconds(asked), 1));

        Assert.True(least >= TimeSpan.FromSeconds(asked), $"{least}");
        Assert.True(most > least, "jobs that were told the same time come back together");
    }

    [Fact]
    public void Any_number_of_times_has_a_wait() => Assert.Equal(TimeSpan.FromMinutes(5), JobBackoff.Next(int.MaxValue, TimeSpan.Zero, 1));
}
