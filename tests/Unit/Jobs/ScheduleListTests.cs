using System.Globalization;
using AiAspire.Workers.Schedules;

namespace AiAspire.Unit.Jobs;

public sealed class ScheduleListTests
{
    [Theory]
    [InlineData("0 7 6 * * ?", "2026-11-30T06:07:00Z", "2026-11-30T06:07:00Z")]
    [InlineData("0 7 6 * * ?", "2026-11-30T06:06:59.999Z", "2026-11-29T06:07:00Z")]
    [InlineData("0 7 6 * * ?", "2026-12-01T03:00:12.5Z", "2026-11-30T06:07:00Z")]
    [InlineData("* * * * * ?", "2026-11-30T06:07:11.9Z", "2026-11-30T06:07:11Z")]
    [InlineData("0/30 * * * * ?", "2026-11-30T06:07:29Z", "2026-11-30T06:07:00Z")]
    [InlineData("0 0 0 1 1 ?", "2026-11-30T06:07:00Z", "2026-01-01T00:00:00Z")]
    [InlineData("0 0 0 29 2 ?", "2026-11-30T06:07:00Z", "2024-02-29T00:00:00Z")]
    public void The_last_time_up_to_one_is_the_expressions_own(string cron, string time, string last)
        => Assert.Equal(At(last), ScheduleList.LastUpTo(cron, At(time)));

    [Fact]
    public void Before_the_first_it_is_the_time_itself()
    {
        var time = At("2026-11-30T06:07:00Z");

        Assert.Equal(time, ScheduleList.LastUpTo("0 0 0 1 1 ? 2031", time));
    }

    private static DateTimeOffset At(string text) => DateTimeOffset.Parse(text, CultureInfo.InvariantCulture);
}
