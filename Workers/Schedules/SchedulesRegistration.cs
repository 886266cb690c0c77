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

    /// <summary>When stored answers past their day are deleted. Default: every hour, at minute 37.</summary>
    public string IdempotencyCleanupCron { get; init; } = "0 37 * * * ?";

    /// <summary>When providers are probed. Default: every 30 seconds.</summary>
    public string ProviderProbeCron { get; init; } = "0/30 * * * * ?";

    /// <summary>When attempts whose lease has ended are closed. Default: every 30 seconds.</summary>
    public string ReconcileCron { get; init; } = "0/30 * * * * ?";

    /// <summary>When the ledger is summed up. Default: every 10 seconds.</summary>
    public string UsageRollupCron { get; init; } = "5/10 * * * * ?";

    /// <summary>When notifications past <c>Notifications:KeepDays</c> are deleted. Default: every day at 03:47.</summary>
    public string NotificationCleanupCron { get; init; } = "0 47 3 * * ?";
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
            AddScheduled<RetentionJob>(quartz, RetentionJob.Key, schedules.RetentionCron);
            AddScheduled<IdempotencyCleanupJob>(quartz, IdempotencyCleanupJob.Key, schedules.IdempotencyCleanupCron);
            AddScheduled<ProviderProbeJob>(quartz, ProviderProbeJob.Key, schedules.ProviderProbeCron);
            AddScheduled<ReconcileJob>(quartz, ReconcileJob.Key, schedules.ReconcileCron);
            AddScheduled<UsageRollupJob>(quartz, UsageRollupJob.Key, schedules.UsageRollupCron);
            AddScheduled<NotificationCleanupJob>(quartz, NotificationCleanupJob.Key, schedules.NotificationCleanupCron);
        });
        builder.Services.AddQuartzHostedService(hosted => hosted.WaitForJobsToComplete = true);
    }

    private static void AddScheduled<T>(IQuartzBuilder quartz, JobKey key, string cron)
        where T : class, IJob
    {
        quartz.AddJob<T>(job => job.WithIdentity(key).StoreDurably());
        quartz.AddTrigger(trigger => trigger
            .WithIdentity($"{key.Name}-schedule")
            .ForJob(key)
            .WithCronSchedule(cron, schedule => schedule.InTimeZone(TimeZoneInfo.Utc)));
    }
}
