using System.Security.Cryptography;
using AiAspire.Core.Data;
using AiAspire.Core.Models;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace AiAspire.Core.Routing;

public static class RoutingRegistration
{
    public static IServiceCollection AddRouting(this IServiceCollection services)
    {
        services.AddOptions<RoutingOptions>()
            .BindConfiguration(RoutingOptions.Section, binder => binder.ErrorOnUnknownConfiguration = true)
            .ValidateDataAnnotations()
            .ValidateOnStart();
        services.TryAddSingleton<Draw>(static () => RandomNumberGenerator.GetInt32(int.MaxValue) / (double)int.MaxValue);
        services.AddSingleton<ProviderKeys>();
        services.AddSingleton<ProviderKeyStore>();
        services.AddChangeSubscription(ProviderKeyStore.Topic, provider => provider.GetRequiredService<ProviderKeyStore>().RefreshAsync);
        services.AddSingleton<TargetHealths>();
        // After the catalog's own reading of the same rows.
        services.AddChangeSubscription(CatalogStore.Topic, provider => _ =>
        {
            provider.GetRequiredService<TargetHealths>().Retarget(provider.GetRequiredService<ModelCatalog>().Targets);
            return Task.CompletedTask;
        });
        services.AddSingleton<ProviderLimits>();
        services.AddSingleton<ProviderBook>();
        services.AddHostedService(provider => provider.GetRequiredService<ProviderBook>());
        services.AddSingleton<ProviderProbes>();
        services.AddSingleton<ProviderStatus>();
        services.AddSingleton<RoutingMetrics>();
        services.AddSingleton<TargetPicker>();
        services.AddSingleton<AdmitStep>();
        services.AddSingleton<RouteStep>();
        services.AddHostedService<RouteCheck>();
        return services;
    }
}

/// <summary>At start: a route whose targets are all of one company falls with it.</summary>
internal sealed partial class RouteCheck(ModelCatalog catalog, IOptions<RoutingOptions> options, ILogger<RouteCheck> logger) : IHostedService
{
    public Task StartAsync(CancellationToken cancellationToken)
    {
        string[] faults = options.Value.SameCompanyRoutes == SameCompanyRoutes.Allow ? [] : [.. catalog.RoutesOfOneCompany()];
        if (faults.Length > 0 && options.Value.SameCompanyRoutes == SameCompanyRoutes.Refuse)
        {
            throw new OptionsValidationException(
                RoutingOptions.Section,
                typeof(RoutingOptions),
                faults.Select(f => $"{f} leads to one company alone; add a model of another, give that provider a key, or set Routing:SameCompanyRoutes to Warn."));
        }

        foreach (var fault in faults)
            LogOneCompany(logger, fault);
        return Task.CompletedTask;
    }

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Route} leads to one company alone: when it is down, so is the route")]
    private static partial void LogOneCompany(ILogger logger, string route);
}
