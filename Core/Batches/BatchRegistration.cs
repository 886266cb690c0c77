using AiAspire.Core.Data;
using AiAspire.Core.Jobs;
using Microsoft.Extensions.DependencyInjection;

namespace AiAspire.Core.Batches;

public static class BatchRegistration
{
    /// <summary>Batches, over files, the queue and the pipeline, which the host registers.</summary>
    public static IServiceCollection AddBatches(this IServiceCollection services)
    {
        services.AddOptions<BatchOptions>()
            .BindConfiguration(BatchOptions.Section, binder => binder.ErrorOnUnknownConfiguration = true)
            .ValidateDataAnnotations()
            .ValidateOnStart();
        return services
            .AddSingleton<BatchStore>()
            .AddSingleton<BatchAssembly>()
            .AddSingleton<BatchRetention>()
            .AddSingleton<IJobHandler, BatchJob>()
            .AddSingleton<IJobHandler, BatchLinesJob>();
    }
}

/// <summary>Deletes batches past their tenant's retention.</summary>
public sealed class BatchRetention(TenantSessions sessions)
{
    private const int AtOnce = 1_000;

    /// <returns>Batches deleted.</returns>
    public Task<long> DeleteExpiredAsync(CancellationToken cancellationToken)
        => sessions.DeleteInStepsAsync("SELECT aiaspire.delete_expired_batches($1)", AtOnce, cancellationToken);
}
