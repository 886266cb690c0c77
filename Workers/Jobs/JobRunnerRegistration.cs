using AiAspire.Core.Jobs;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Options;

namespace AiAspire.Workers.Jobs;

public static class JobRunnerRegistration
{
    private static readonly TimeSpan AroundDrain = JobRunner.ClaimTimeout + TimeSpan.FromSeconds(10);

    /// <summary>Runs jobs of the kinds whose <see cref="IJobHandler"/> is registered, over what <c>AddJobs</c> has registered.</summary>
    public static IServiceCollection AddJobRunner(this IServiceCollection services)
    {
        services.AddOptions<JobRunnerOptions>()
            .BindConfiguration(JobRunnerOptions.Section, binder => binder.ErrorOnUnknownConfiguration = true)
            .ValidateDataAnnotations()
            .ValidateOnStart();
        // The host must not cut the grace period short.
        services.AddOptions<HostOptions>().Configure<IOptions<JobRunnerOptions>>((host, runner) =>
        {
            var needed = TimeSpan.FromSeconds(runner.Value.DrainSeconds) + AroundDrain;
            if (host.ShutdownTimeout < needed)
                host.ShutdownTimeout = needed;
        });
        services.TryAddSingleton(new Random());
        return services
            .AddSingleton<JobHandlers>()
            .AddSingleton<RunningJobs>()
            .AddSingleton(provider => new AdaptiveConcurrency(
                provider.GetRequiredService<IOptions<JobRunnerOptions>>().Value.Concurrency, provider.GetRequiredService<TimeProvider>()))
            .AddSingleton<Outages>()
            .AddSingleton<JobExecution>()
            .AddSingleton<JobSignal>()
            .AddHostedService(provider => provider.GetRequiredService<JobSignal>())
            .AddHostedService<JobUpkeep>()
            .AddHostedService<JobRunner>();
    }
}
