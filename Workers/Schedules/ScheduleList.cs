using AiAspire.Core.Data;
using AiAspire.Core.Schedules;
using Quartz;

namespace AiAspire.Workers.Schedules;

/// <summary>What this version of the workers does by schedule: names and Quartz cron expressions, in UTC.</summary>
internal sealed class ScheduleList(IReadOnlyDictionary<string, string> crons)
{
    /// <summary>Null for a name that is not there, and when it never fires again.</summary>
    public DateTimeOffset? NextAfter(string name, DateTimeOffset time)
        => crons.TryGetValue(name, out var cron) ? new CronExpression(cron, TimeZoneInfo.Utc).GetNextValidTimeAfter(time) : null;

    public IReadOnlyCollection<Schedule> Rows(DateTimeOffset now)
        => [.. crons.Select(c => new Schedule { TenantId = TenantScope.PlatformTenantId, Name = c.Key, Cron = c.Value, NextRunAt = NextAfter(c.Key, now) })];
}
