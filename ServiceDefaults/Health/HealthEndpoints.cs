using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Diagnostics.HealthChecks;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Hosting;

namespace AiAspire.ServiceDefaults.Health;

/// <summary>
/// <c>/health</c>: ready for traffic (every check). <c>/alive</c>: worth keeping (checks tagged <see cref="LiveTag"/>, which
/// must not ask other processes, or an outage of theirs restarts us). Both anonymous: probes carry no credentials.
/// </summary>
public static class HealthEndpoints
{
    internal const string LiveTag = "live";
    private const string HealthPath = "/health";
    private const string AlivePath = "/alive";
    private static readonly TimeSpan DefaultTimeout = TimeSpan.FromSeconds(5);

    /// <summary>Whether the path is one of the two.</summary>
    public static bool IsProbe(PathString path) =>
        path.StartsWithSegments(HealthPath, StringComparison.OrdinalIgnoreCase)
        || path.StartsWithSegments(AlivePath, StringComparison.OrdinalIgnoreCase);

    internal static void AddDefaultHealthChecks(this IHostApplicationBuilder builder)
    {
        builder.Services.AddHealthChecks().AddCheck("self", static () => HealthCheckResult.Healthy(), [LiveTag]);
        builder.Services.PostConfigure<HealthCheckServiceOptions>(static options =>
        {
            // A check that hangs would hold the probe until the prober gives up, and tell it nothing.
            foreach (var registration in options.Registrations)
            {
                if (registration.Timeout <= TimeSpan.Zero)
                    registration.Timeout = DefaultTimeout;
            }
        });
    }

    internal static void MapHealthEndpoints(this IEndpointRouteBuilder endpoints)
    {
        Map(HealthPath, static _ => true);
        Map(AlivePath, static check => check.Tags.Contains(LiveTag));

        void Map(string path, Func<HealthCheckRegistration, bool> predicate) =>
            endpoints.MapHealthChecks(path, new HealthCheckOptions { Predicate = predicate, ResponseWriter = Write })
                .AllowAnonymous()
                .DisableHttpMetrics();
    }

    // {"status":"Healthy","checks":{"self":"Healthy"}}: descriptions and exceptions may name hosts and users, so they stay in
    // the log.
    private static async Task Write(HttpContext context, HealthReport report)
    {
        context.Response.ContentType = "application/json";
        await using var json = new Utf8JsonWriter(context.Response.BodyWriter);
        json.WriteStartObject();
        json.WriteString("status"u8, report.Status.ToString());
        json.WriteStartObject("checks"u8);
        foreach (var (name, entry) in report.Entries)
            json.WriteString(name, entry.Status.ToString());
        json.WriteEndObject();
        json.WriteEndObject();
        await json.FlushAsync(context.RequestAborted);
    }
}
