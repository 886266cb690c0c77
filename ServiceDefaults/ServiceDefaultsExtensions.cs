using AiAspire.ServiceDefaults.Health;
using AiAspire.ServiceDefaults.Logging;
using AiAspire.ServiceDefaults.Telemetry;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.Configuration.Memory;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Hosting;

namespace AiAspire.ServiceDefaults;

/// <summary>What every process has: telemetry, health, service discovery, resilient HTTP clients and scrubbed JSON logs.</summary>
public static class ServiceDefaultsExtensions
{
    /// <summary>Registers the defaults. Call it first, so that what the process registers itself wins.</summary>
    public static TBuilder AddServiceDefaults<TBuilder>(this TBuilder builder)
        where TBuilder : IHostApplicationBuilder
    {
        ArgumentNullException.ThrowIfNull(builder);

        builder.AddDefaultLogLevels();
        builder.Services.TryAddSingleton(TimeProvider.System);
        builder.AddJsonLogs();
        builder.AddTelemetry();
        builder.AddDefaultHealthChecks();
        builder.Services.AddServiceDiscovery();
        builder.Services.ConfigureHttpClientDefaults(http =>
        {
            http.AddStandardResilience();
            http.AddServiceDiscovery();
        });
        return builder;
    }

    /// <summary>Maps <c>/health</c>, <c>/alive</c> and the guarded <c>/metrics</c>, in every environment.</summary>
    public static WebApplication MapDefaultEndpoints(this WebApplication app)
    {
        ArgumentNullException.ThrowIfNull(app);

        app.MapHealthEndpoints();
        app.MapGuardedMetrics();
        return app;
    }

    // First among the sources, so that settings files, environment and command line all override it.
    private static void AddDefaultLogLevels(this IHostApplicationBuilder builder) =>
        builder.Configuration.Sources.Insert(0, new MemoryConfigurationSource
        {
            InitialData = new Dictionary<string, string?>(StringComparer.OrdinalIgnoreCase)
            {
                ["Logging:LogLevel:Default"] = "Information",
                ["Logging:LogLevel:Microsoft.AspNetCore"] = "Warning",
                ["Logging:LogLevel:Microsoft.EntityFrameworkCore"] = "Warning",
                // Npgsql logs the text of every command at Information.
                ["Logging:LogLevel:Npgsql"] = "Warning",
                // Its connection log is dozens of lines a connection.
                ["Logging:LogLevel:StackExchange.Redis"] = "Warning",
                ["Logging:LogLevel:Polly"] = "Warning",
                ["Logging:LogLevel:System.Net.Http.HttpClient"] = "Warning",
            },
        });
}
