using System.ComponentModel.DataAnnotations;
using AiAspire.Core.Conversations;
using AiAspire.Core.Data;
using AiAspire.Core.Routing;
using AiAspire.Core.Schedules;
using AiAspire.ServiceDefaults;
using AiAspire.ServiceDefaults.Postgres;
using AiAspire.Workers.Evaluations;
using Quartz;

namespace AiAspire.Workers.Schedules;

/// <summary>Section <c>Schedules</c>.</summary>
public sealed class ScheduleOptions
{
    public const string Section = "Schedules";

    /// <summary>When retention runs: a Quartz cron expression in UTC. Default: every hour, at minute 17.</summary>
    [CronExpression]
    public string RetentionCron { get; init; } = "0 17 * * * ?";

    /// <summary>When stored answers past their day are deleted. Default: every hour, at minute 37.</summary>
    [CronExpression]
    public string IdempotencyCleanupCron { get; init; } = "0 37 * * * ?";

    /// <summary>When providers are probed. Default: every 30 seconds.</summary>
    [CronExpression]
    public string ProviderProbeCron { get; init; } = "0/30 * * * * ?";

    /// <summary>When attempts whose lease has ended are closed. Default: every 30 seconds.</summary>
    [CronExpression]
    public string ReconcileCron { get; init; } = "0/30 * * * * ?";

    /// <summary>When the ledger is summed up. Default: every 10 seconds.</summary>
    [CronExpression]
    public string UsageRollupCron { get; init; } = "5/10 * * * * ?";

    /// <summary>When notifications past <c>Notifications:KeepDays</c> are deleted. Default: every day at 03:47.</summary>
    [CronExpression]
    public string NotificationCleanupCron { get; init; } = "0 47 3 * * ?";

    /// <summary>When the partitions of the months ahead are made. Default: every day at 02:23, which mends a month that was missed.</summary>
    [CronExpression]
    public string PartitionCron { get; init; } = "0 23 2 * * ?";

    /// <summary>When the age of provider keys is looked at. Default: every day at 06:07.</summary>
    [CronExpression]
    public string KeyAgeCron { get; init; } = "0 7 6 * * ?";

    /// <summary>Seconds after which a firing that no worker took counts as missed: it is made up for once, however many were missed. Default 60.</summary>
    [Range(1, 3600)]
    public double MisfireSeconds { get; init; } = 60;
}

internal static class SchedulesRegistration
{
    /// <summary>Quartz, clustered: its tables decide which replica fires.</summary>
    public static void AddSchedules(this IHostApplicationBuilder builder)
    {
        var options = builder.Configuration.GetValid<ScheduleOptions>(ScheduleOptions.Section);
        var evaluation = builder.AddScheduledEvaluation();
        var crons = new Dictionary<string, string>(StringComparer.Ordinal);
        builder.Services.AddSingleton<Retention>();
        builder.Services.AddSingleton<Partitions>();
        builder.Services.AddSingleton<ProviderKeyAges>();
        builder.Services.AddSingleton<ScheduleBook>();
        builder.Services.AddSingleton(new ScheduleList(crons));
        builder.Services.AddSingleton<RunRequests>();
        builder.Services.AddHostedService(provider => provider.GetRequiredService<RunRequests>());
        builder.Services.AddChangeSubscription(ScheduleBook.Topic, provider => provider.GetRequiredService<RunRequests>().WakeAsync);
        // What was missed while no worker was there is known by the last firing, which a trigger that is declared anew takes over.
        builder.Services.Configure<QuartzOptions>(quartz => quartz.Scheduling.ScheduleTriggerRelativeToReplacedTrigger = true);
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
                store.UsePostgres(builder.GetSafePostgres("aiaspire"));
                store.ConfigureStore(tables =>
                {
                    tables.TablePrefix = "quartz.qrtz_";
                    tables.MisfireThreshold = TimeSpan.FromSeconds(options.MisfireSeconds);
                });
                store.UseClustering();
                store.UseSystemTextJsonSerializer();
            });
            quartz.AddJobMiddleware<RunJournal>();
            Add<RetentionJob>(RetentionJob.Key, options.RetentionCron);
            Add<IdempotencyCleanupJob>(IdempotencyCleanupJob.Key, options.IdempotencyCleanupCron);
            Add<ProviderProbeJob>(ProviderProbeJob.Key, options.ProviderProbeCron);
            Add<ReconcileJob>(ReconcileJob.Key, options.ReconcileCron);
            Add<UsageRollupJob>(UsageRollupJob.Key, options.UsageRollupCron);
            Add<NotificationCleanupJob>(NotificationCleanupJob.Key, options.NotificationCleanupCron);
            Add<PartitionJob>(PartitionJob.Key, options.PartitionCron);
            Add<KeyAgeJob>(KeyAgeJob.Key, options.KeyAgeCron);
            if (evaluation.Enabled)
                Add<EvaluationJob>(EvaluationJob.Key, evaluation.Cron);

            void Add<T>(JobKey key, string cron)
                where T : class, IJob
            {
                crons.Add(key.Name, cron);
                AddScheduled<T>(quartz, key, cron);
            }
        });
        builder.Services.AddQuartzHostedService(hosted => hosted.WaitForJobsToComplete = true);
    }

    private static void AddScheduled<T>(IQuartzBuilder quartz, JobKey key, string cron)
        where T : class, IJob
    {
        quartz.AddJob<T>(job => job.WithIdentity(key).StoreDurably().RequestRecovery());
        quartz.AddTrigger(trigger => trigger
            .WithIdentity($"{key.Name}-schedule")
            .ForJob(key)
            .WithCronSchedule(cron, schedule => schedule.InTimeZone(TimeZoneInfo.Utc).WithMisfireInstruction(CronTriggerMisfireInstruction.FireAndProceed)));
    }
}
