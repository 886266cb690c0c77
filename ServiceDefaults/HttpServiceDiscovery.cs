using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.ServiceDiscovery.Http;

namespace AiAspire.ServiceDefaults;

/// <summary>Service discovery for clients that are not made by <see cref="IHttpClientFactory"/>, whose clients all have it.</summary>
public static class HttpServiceDiscovery
{
    /// <summary>A handler that turns the name of another process of the application into its address, before <paramref name="inner"/>.</summary>
    public static HttpMessageHandler Before(IServiceProvider services, HttpMessageHandler inner)
        => services.GetRequiredService<IServiceDiscoveryHttpMessageHandlerFactory>().CreateHandler(inner);
}
