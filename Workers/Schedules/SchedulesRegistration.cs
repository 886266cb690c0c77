using AiAspire.Core.Conversations;
using Microsoft.Extensions.Options;
using Quartz;

namespace AiAspire.Workers.Schedules;

/// <summary>Section <c>Schedules</c>.</summary>
public sealed class ScheduleOptions
{
    public const string Section = "Schedules";

    /// <summary>When retention runs: a Quartz cron expression in UTC. Default: every hour, at minute 17.</summary>
    public string RetentionCron { get; init; } = "0 17 * * * ?";
}

internal static class SchedulesRegistration
{
    /// <summary>Quartz, clustered: its tables decide which replica fires.</summary>
    public static void AddSchedules(this IHostApplicationBuilder builder)
    {
        var schedules = builder.Configuration.GetSection(ScheduleOptions.Section).Get<ScheduleOptions>(binder => binder.ErrorOnUnknownConfiguration = true) ?? new ScheduleOptions();
        builder.Services.AddSingleton<Retention>();
        builder.Services.AddQuartz(quartz =>
        {
            quartz.ConfigureScheduler(scheduler =>
            {
                scheduler.InstanceName = "aiaspire";
                // Clustered nodes have a name each: host, process and start time.
                scheduler.GenerateInstanceId = true;
            });
            quartz.UsePersistentStore(store =>
            {
                store.UsePostgres(builder.Configuration.GetConnectionString("aiaspire")!);
                store.ConfigureStore(options => options.TablePrefix = "quartz.qrtz_");
                store.UseClustering();
                store.UseSystemTextJsonSerializer();
            });
            quartz.AddJob<RetentionJob>(job => job.WithIdentity(RetentionJob.Key).StoreDurably());
            quartz.AddTrigger(trigger => trigger
                .WithIdentity($"{RetentionJob.Key.Name}-schedule")
                .ForJob(RetentionJob.Key)
                .WithCronSchedule(schedules.RetentionCron, cron => cron.InTimeZone(TimeZoneInfo.Utc)));
        });
        builder.Services.AddQuartzHostedService(hosted => hosted.WaitForJobsToComplete = true);
    }
}
