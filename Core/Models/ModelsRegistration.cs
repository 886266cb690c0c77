using System.Reflection;
using AiAspire.Core.Data;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.Configuration.Memory;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;

namespace AiAspire.Core.Models;

public static class ModelsRegistration
{
    /// <summary>Puts the shipped catalog beneath all other configuration, so that any key of it can be overridden or added to.</summary>
    public static IConfigurationBuilder AddShippedCatalog(this IConfigurationBuilder configuration)
    {
        using var json = Assembly.GetExecutingAssembly().GetManifestResourceStream("AiAspire.Core.Models.catalog.json")!;
        // A memory source, not a stream source: the host builds its sources again on every change, and a stream is read once.
        configuration.Sources.Insert(0, new MemoryConfigurationSource
        {
            InitialData = new ConfigurationBuilder().AddJsonStream(json).Build().AsEnumerable(),
        });
        return configuration;
    }

    /// <summary>The catalog as configured, validated.</summary>
    public static IServiceCollection AddModelCatalogOptions(this IServiceCollection services)
    {
        services.AddOptions<CatalogOptions>()
            .Configure<IConfiguration>((options, configuration) =>
            {
                configuration.GetSection("Providers").Bind(options.Providers, binder => binder.ErrorOnUnknownConfiguration = true);
                configuration.GetSection("Aliases").Bind(options.Aliases);
                configuration.GetSection("FeatureRoutes").Bind(options.FeatureRoutes);
            })
            .ValidateOnStart();
        return services.AddSingleton<IValidateOptions<CatalogOptions>, CatalogValidation>();
    }

    /// <summary>The catalog from configuration with the operators' entries, and the prices from the database.</summary>
    public static IServiceCollection AddModelCatalog(this IServiceCollection services)
    {
        services.AddModelCatalogOptions();
        services.AddSingleton<ModelCatalog>();
        services.AddSingleton<CatalogStore>();
        services.AddChangeSubscription(CatalogStore.Topic, provider => provider.GetRequiredService<CatalogStore>().RefreshAsync);
        services.AddSingleton<PriceBook>();
        services.AddChangeSubscription(PriceBook.Topic, provider => provider.GetRequiredService<PriceBook>().RefreshAsync);
        return services;
    }
}
