using System.Net;
using System.Security.Cryptography;
using System.Text;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;

namespace AiAspire.ServiceDefaults.Telemetry;

/// <summary>
/// The Prometheus scrape. Open to callers on the loopback interface, and to those who bring <c>Telemetry:ScrapeToken</c> as
/// bearer token; for everybody else it does not exist.
/// </summary>
internal static class MetricsEndpoint
{
    public const string Path = "/metrics";
    public const string TokenSetting = "Telemetry:ScrapeToken";

    public static void MapGuardedMetrics(this IEndpointRouteBuilder endpoints)
    {
        var token = endpoints.ServiceProvider.GetRequiredService<IConfiguration>()[TokenSetting];
        endpoints.MapPrometheusScrapingEndpoint(Path, meterProvider: null, branch => branch.Use((context, next) =>
            {
                if (IsLocal(context) || Presents(context.Request, token))
                    return next(context);
                context.Response.StatusCode = StatusCodes.Status404NotFound;
                return Task.CompletedTask;
            }), optionsName: null)
            .AllowAnonymous();
    }

    // Behind a proxy on the same machine every caller looks local; the proxy's own headers give it away.
    private static bool IsLocal(HttpContext context) =>
        context.Connection.RemoteIpAddress is { } address
        && IPAddress.IsLoopback(address.IsIPv4MappedToIPv6 ? address.MapToIPv4() : address)
        && !context.Request.Headers.ContainsKey("X-Forwarded-For")
        && !context.Request.Headers.ContainsKey("Forwarded");

    private static bool Presents(HttpRequest request, string? token)
    {
        const string Scheme = "Bearer ";
        var header = request.Headers.Authorization.ToString();
        return !string.IsNullOrEmpty(token)
            && header.StartsWith(Scheme, StringComparison.OrdinalIgnoreCase)
            // Hashed first, so that the comparison tells neither content nor length by its time.
            && CryptographicOperations.FixedTimeEquals(
                SHA256.HashData(Encoding.UTF8.GetBytes(header[Scheme.Length..].Trim())),
                SHA256.HashData(Encoding.UTF8.GetBytes(token)));
    }
}
