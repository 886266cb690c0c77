using System.Net;

namespace AiAspire.Core.Providers;

/// <summary>
/// The one pool of connections to all providers. Not made by <see cref="IHttpClientFactory"/>: its handlers log, meter and retry
/// around every request, which the route does here, and cost a tenth of a request's processor time.
/// </summary>
public sealed class ProviderHttp : IDisposable
{
    /// <param name="primary">What sends; disposed with this.</param>
    public ProviderHttp(HttpMessageHandler primary)
    {
        Invoker = new HttpMessageInvoker(primary);
        // The SDKs ask for an HttpClient, and keep response headers to themselves.
        SdkClient = new HttpClient(new ResponseFactsHandler { InnerHandler = primary }, disposeHandler: false) { Timeout = Timeout.InfiniteTimeSpan };
    }

    /// <summary>Sends and returns at the response's headers.</summary>
    public HttpMessageInvoker Invoker { get; }

    /// <summary>For companies' SDKs; not to be disposed by them or after them.</summary>
    public HttpClient SdkClient { get; }

    public static SocketsHttpHandler Pool() => new()
    {
        PooledConnectionLifetime = TimeSpan.FromMinutes(10),
        PooledConnectionIdleTimeout = TimeSpan.FromMinutes(1),
        ConnectTimeout = TimeSpan.FromSeconds(10),
        // A caller who leaves must cost nothing more: without this, a cancelled reply is drained for two seconds first.
        ResponseDrainTimeout = TimeSpan.Zero,
        UseCookies = false,
        AllowAutoRedirect = false,
        AutomaticDecompression = DecompressionMethods.All,
    };

    public void Dispose()
    {
        SdkClient.Dispose();
        Invoker.Dispose();
    }
}
