using AiAspire.Core.Data;
using AiAspire.Core.Schedules;
using Quartz;

namespace AiAspire.Workers.Schedules;

/// <summary>What this version of the workers does by schedule: names and Quartz cron expressions, in UTC.</summary>
internal sealed class ScheduleList(IReadOnlyDictionary<string, string> crons)
{
    /// <summary>Of cron expressions.</summary>
    private static readonly TimeSpan Shortest = TimeSpan.FromSeconds(1);

    /// <summary>The 29th of February comes after eight years at the latest.</summary>
    private static readonly TimeSpan LongestLookBack = TimeSpan.FromDays(8 * 366);

    /// <summary>Null for a name that is not there, and when it never fires again.</summary>
    public DateTimeOffset? NextAfter(string name, DateTimeOffset time)
        => crons.TryGetValue(name, out var cron) ? new CronExpression(cron, TimeZoneInfo.Utc).GetNextValidTimeAfter(time) : null;

    /// <summary>The last time of a cron expression up to this one, which is itself when it is one, and when none has come.</summary>
    public static DateTimeOffset LastUpTo(string cron, DateTimeOffset time)
    {
        var expression = new CronExpression(cron, TimeZoneInfo.Utc);
        // Quartz looks ahead only. Whatever lies before the last time finds one that has come, whatever lies behind it does not.
        var (before, after) = (time - LongestLookBack, time);
        while (after - before > Shortest)
        {
            var middle = before + ((after - before) / 2);
            (before, after) = expression.GetNextValidTimeAfter(middle) <= time ? (middle, after) : (before, middle);
        }

        return expression.GetNextValidTimeAfter(before) is { } last && last <= time ? last : time;
    }

    public IReadOnlyCollection<Schedule> Rows(DateTimeOffset now)
        => [.. crons.Select(c => new Schedule { TenantId = TenantScope.PlatformTenantId, Name = c.Key, Cron = c.Value, NextRunAt = NextAfter(c.Key, now) })];
}
