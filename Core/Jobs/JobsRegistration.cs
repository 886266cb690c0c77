using AiAspire.Core.Data;
using AiAspire.Core.Encryption;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace AiAspire.Core.Jobs;

public static class JobsRegistration
{
    public static IServiceCollection AddJobs(this IServiceCollection services)
    {
        services.AddOptions<JobOptions>()
            .BindConfiguration(JobOptions.Section, binder => binder.ErrorOnUnknownConfiguration = true)
            .ValidateDataAnnotations()
            .ValidateOnStart();
        return services
            .AddSingleton<JobMetrics>()
            .AddSingleton<JobNotifier>()
            .AddSingleton<JobQueue>()
            .AddSingleton<JobLeases>()
            .AddSingleton<JobCompletions>()
            .AddSingleton<JobEventLogs>()
            .AddSingleton<JobRetention>();
    }

    /// <summary>A kind of job that callers may queue.</summary>
    public static IServiceCollection AddJobKind<T>(this IServiceCollection services)
        where T : class, IJobKind
        => services
            .AddSingleton<T>()
            .AddSingleton<IJobKind>(provider => provider.GetRequiredService<T>())
            .AddSingleton<IJobHandler>(provider => provider.GetRequiredService<T>());
}

/// <summary>Opens the event log of each run.</summary>
public sealed class JobEventLogs(TenantSessions sessions, UserKeys userKeys, IOptions<JobOptions> options, TimeProvider time, ILogger<JobEventLog> logger)
{
    public JobEventLog Open(ClaimedJob job) => new(
        job,
        () => userKeys.GetAsync(job.TenantId, job.UserId, CancellationToken.None),
        batch => sessions.Open(job.Scope).ExecuteAsync(batch, CancellationToken.None),
        TimeSpan.FromMilliseconds(options.Value.EventMilliseconds),
        time,
        logger);
}
