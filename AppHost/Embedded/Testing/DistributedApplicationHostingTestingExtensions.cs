using Aspire.Hosting.ApplicationModel;
using Microsoft.Extensions.DependencyInjection;

namespace Aspire.Hosting.Testing;

/// <summary>How a test reaches the resources of an application.</summary>
public static class DistributedApplicationHostingTestingExtensions
{
    private static readonly Lazy<IHttpClientFactory> Clients = new(() => new ServiceCollection()
        .AddHttpClient()
        // A proxy of the machine has no business between a test and loopback.
        .ConfigureHttpClientDefaults(client => client.UseSocketsHttpHandler((handler, _) => handler.UseProxy = false))
        .BuildServiceProvider()
        .GetRequiredService<IHttpClientFactory>());

    /// <summary>A client whose base address is the resource's endpoint (of several replicas the first's).</summary>
    public static HttpClient CreateHttpClient(this DistributedApplication app, string resourceName, string? endpointName = null)
    {
        var client = Clients.Value.CreateClient();
        client.BaseAddress = app.GetEndpoint(resourceName, endpointName);
        return client;
    }

    /// <summary>A resource's connection string; of a database the superuser's.</summary>
    public static ValueTask<string?> GetConnectionStringAsync(
        this DistributedApplication app, string resourceName, CancellationToken cancellationToken = default) =>
        app.Named(resourceName) is IResourceWithConnectionString resource
            ? resource.GetConnectionStringAsync(cancellationToken)
            : throw new ArgumentException($"Resource '{resourceName}' has no connection string.", nameof(resourceName));

    /// <summary>Where a resource listens.</summary>
    public static Uri GetEndpoint(this DistributedApplication app, string resourceName, string? endpointName = null)
    {
        var resource = (Resource)app.Named(resourceName);
        var endpoint = resource.Endpoints.FirstOrDefault(e => endpointName is null || e.Name == endpointName)
            ?? throw new ArgumentException($"Resource '{resourceName}' has no endpoint '{endpointName ?? "http"}'.", nameof(endpointName));
        return new Uri(endpoint.Url(0));
    }

    internal static IResource Named(this DistributedApplication app, string name) =>
        app.Resources.FirstOrDefault(r => string.Equals(r.Name, name, StringComparison.OrdinalIgnoreCase))
        ?? throw new ArgumentException($"There is no resource '{name}'.", nameof(name));
}
