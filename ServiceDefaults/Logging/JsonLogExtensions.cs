using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace AiAspire.ServiceDefaults.Logging;

internal static class JsonLogExtensions
{
    public static void AddJsonLogs(this IHostApplicationBuilder builder)
    {
        builder.Services.TryAddSingleton<ILogScrubber, LogScrubber>();
        builder.Services.TryAddSingleton<JsonLogFormatter>();
        // Providers that nothing scrubs go: what remains is this console and the exporter of AddTelemetry.
        builder.Logging.ClearProviders();
        builder.Services.AddSingleton<ILoggerProvider>(static services => new JsonConsoleLoggerProvider(
            services.GetRequiredService<JsonLogFormatter>(), new LineWriter(Console.OpenStandardOutput())));
        // The formatter writes trace and span ids as fields of their own.
        builder.Logging.Configure(static options => options.ActivityTrackingOptions = ActivityTrackingOptions.None);
    }
}
