using System.Reflection;
using AiAspire.ServiceDefaults.Health;
using AiAspire.ServiceDefaults.Logging;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Npgsql;
using OpenTelemetry;
using OpenTelemetry.Context.Propagation;
using OpenTelemetry.Logs;
using OpenTelemetry.Metrics;
using OpenTelemetry.Resources;
using OpenTelemetry.Trace;

namespace AiAspire.ServiceDefaults.Telemetry;

internal static class TelemetryExtensions
{
    // Any activity source or meter of the application is collected by its name alone.
    private const string OwnSources = "AiAspire.*";
    private const string ModelSources = "Experimental.Microsoft.Extensions.AI";

    public static void AddTelemetry(this IHostApplicationBuilder builder)
    {
        Sdk.SetDefaultTextMapPropagator(new CompositeTextMapPropagator([new TraceContextPropagator(), new BaggagePropagator()]));

        builder.Services.Configure<OpenTelemetryLoggerOptions>(static options =>
        {
            options.IncludeFormattedMessage = true;
            // Scopes would reach the exporter unscrubbed; the ids they carry are added by the processor.
            options.IncludeScopes = false;
        });

        var telemetry = builder.Services.AddOpenTelemetry()
            .ConfigureResource(resource => Describe(resource, builder))
            .WithMetrics(static metrics => metrics
                .AddMeter(OwnSources, ModelSources, "Polly")
                .AddAspNetCoreInstrumentation()
                .AddHttpClientInstrumentation()
                .AddRuntimeInstrumentation()
                .AddNpgsqlInstrumentation()
                .AddPrometheusExporter());

        // Spans and log records that nobody collects are not made. Trace ids still cross processes and stand in every log line: the
        // runtime keeps the trace context of each request by itself.
        if (string.IsNullOrWhiteSpace(builder.Configuration["OTEL_EXPORTER_OTLP_ENDPOINT"]))
            return;
        telemetry
            .WithLogging(static logs => logs.AddProcessor(static services =>
                new ScrubbingLogProcessor(services.GetRequiredService<ILogScrubber>())))
            .WithTracing(static traces => traces
                .AddSource(OwnSources, ModelSources)
                .AddAspNetCoreInstrumentation(static options =>
                    options.Filter = static context => !HealthEndpoints.IsProbe(context.Request.Path))
                .AddHttpClientInstrumentation()
                .AddNpgsql())
            // The exporter comes last: processors run in the order they were added.
            .UseOtlpExporter();
    }

    private static void Describe(ResourceBuilder resource, IHostApplicationBuilder builder)
    {
        var version = Assembly.GetEntryAssembly()?.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion;
        resource
            .AddService(
                serviceName: builder.Environment.ApplicationName,
                serviceVersion: version ?? "0.0.0",
                autoGenerateServiceInstanceId: false,
                serviceInstanceId: Guid.CreateVersion7(TimeProvider.System.GetUtcNow()).ToString())
            .AddAttributes([new("deployment.environment.name", builder.Environment.EnvironmentName)])
            // Last, so that OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES, which the app host sets, win.
            .AddEnvironmentVariableDetector();
    }
}
