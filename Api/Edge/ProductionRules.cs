using System.Net;
using Microsoft.Extensions.Options;

namespace AiAspire.Api.Edge;

/// <summary>What must hold before a production system opens its first port.</summary>
internal sealed class ProductionRules(IConfiguration configuration, IHostEnvironment environment, IOptions<ApiOptions> options) : IHostedLifecycleService
{
    private const string DefaultAddress = "http://localhost:5000";

    public Task StartingAsync(CancellationToken cancellationToken)
    {
        if (Fault() is { } fault)
            throw new InvalidOperationException(fault);
        return Task.CompletedTask;
    }

    private string? Fault()
    {
        if (configuration.GetValue<bool>("ForwardedHeaders_Enabled"))
            return "ASPNETCORE_FORWARDEDHEADERS_ENABLED believes forwarded headers of anyone: remove it and name your proxies in Api:BehindTlsProxy.";
        if (!environment.IsProduction())
            return null;
        if (AllowedHosts.Of(configuration).IsOpen)
            return "AllowedHosts must name the host names of this service in production, such as AllowedHosts=api.example.com (several with ';'), and not '*'.";
        if (options.Value.BehindTlsProxy is not null)
            return null;
        var addresses = Addresses();
        if (addresses.FirstOrDefault(a => !IsHttps(a) && !IsLocal(a)) is { } open)
            return $"The Api would listen on {open} without TLS: give it an https address (ASPNETCORE_URLS or Kestrel:Endpoints, with a certificate), or name the proxy that ends TLS in Api:BehindTlsProxy.";
        return addresses.Any(IsHttps)
            ? null
            : "The Api has no https address in production: set ASPNETCORE_URLS or Kestrel:Endpoints, with a certificate, or name the proxy that ends TLS in Api:BehindTlsProxy.";
    }

    /// <summary>Where Kestrel will listen, by its own order: endpoints win over URLs, and URLs over ports.</summary>
    private List<BindingAddress> Addresses()
    {
        var endpoints = configuration.GetSection("Kestrel:Endpoints").GetChildren().Select(e => e["Url"]).OfType<string>().ToList();
        var urls = endpoints.Count > 0 ? endpoints : [.. Split(configuration["urls"])];
        if (urls.Count == 0)
            urls = [.. Split(configuration["http_ports"]).Select(p => $"http://*:{p}"), .. Split(configuration["https_ports"]).Select(p => $"https://*:{p}")];
        return [.. urls.DefaultIfEmpty(DefaultAddress).Select(BindingAddress.Parse)];
    }

    private static string[] Split(string? list) => list?.Split(';', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries) ?? [];

    private static bool IsHttps(BindingAddress address) => address.Scheme.Equals(Uri.UriSchemeHttps, StringComparison.OrdinalIgnoreCase);

    private static bool IsLocal(BindingAddress address)
        => address.IsUnixPipe
            || address.Host.Equals("localhost", StringComparison.OrdinalIgnoreCase)
            || (IPAddress.TryParse(address.Host.Trim('[', ']'), out var ip) && IPAddress.IsLoopback(ip));

    public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StartedAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StoppingAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StoppedAsync(CancellationToken cancellationToken) => Task.CompletedTask;
}
