using AiAspire.Evaluator.Service;
using AiAspire.ServiceDefaults;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Options;

namespace AiAspire.Evaluator;

internal static class EvaluationServices
{
    public const string TargetClient = "target";

    /// <summary>The HTTP client of evaluations: its own retries, since it must tell errors from failures, and its own time-outs.</summary>
    public static IServiceCollection AddTargetClient(this IServiceCollection services)
    {
        services.TryAddSingleton(static _ => new Random());
        services.AddHttpClient(TargetClient, static http => http.Timeout = Timeout.InfiniteTimeSpan).WithoutStandardResilience();
        return services;
    }

    /// <summary>The web service: options, store, queue.</summary>
    public static IServiceCollection AddEvaluationService(this IServiceCollection services)
    {
        services.AddOptions<EvaluatorOptions>().BindConfiguration(EvaluatorOptions.Section).ValidateDataAnnotations().ValidateOnStart();
        services.AddSingleton<IValidateOptions<EvaluatorOptions>, TargetTransport>();
        services.AddTargetClient();
        services.AddSingleton<EvaluationStore>();
        services.AddSingleton<EvaluationQueue>();
        services.AddHostedService(static provider => provider.GetRequiredService<EvaluationQueue>());
        return services;
    }
}
