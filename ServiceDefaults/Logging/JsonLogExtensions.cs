using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Console;

namespace AiAspire.ServiceDefaults.Logging;

internal static class JsonLogExtensions
{
    public static void AddJsonLogs(this IHostApplicationBuilder builder)
    {
        builder.Services.TryAddSingleton<ILogScrubber, LogScrubber>();
        // Providers that nothing scrubs go: what remains is this console and the exporter of AddTelemetry.
        builder.Logging.ClearProviders();
        builder.Logging.AddConsole(static console => console.FormatterName = JsonLogFormatter.FormatterName);
        builder.Logging.AddConsoleFormatter<JsonLogFormatter, ConsoleFormatterOptions>();
        // The formatter writes trace and span ids as fields of their own.
        builder.Logging.Configure(static options => options.ActivityTrackingOptions = ActivityTrackingOptions.None);
    }
}
