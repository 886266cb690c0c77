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
    public void The_last_time_up_to_one_is_the_schedules_own(string cron, string time, string last)
        => Assert.Equal(At(last), new ScheduleList(new Dictionary<string, string> { ["tidy"] = cron }).LastUpTo("tidy", At(time)));

    [Fact]
    public void Of_a_schedule_that_is_not_there_or_has_never_fired_it_is_the_time_itself()
    {
        var list = new ScheduleList(new Dictionary<string, string> { ["once"] = "0 0 0 1 1 ? 2031" });
        var time = At("2026-11-30T06:07:00Z");

        Assert.Equal(time, list.LastUpTo("gone", time));
        Assert.Equal(time, list.LastUpTo("once", time));
    }

    private static DateTimeOffset At(string text) => DateTimeOffset.Parse(text, CultureInfo.InvariantCulture);
}
