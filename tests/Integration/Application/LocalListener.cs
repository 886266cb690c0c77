using System.Net;
using System.Net.Sockets;

namespace AiAspire.Integration.Application;

/// <summary>Somebody else's endpoint, in this process, on a free port of loopback.</summary>
internal sealed class LocalListener : IAsyncDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);
    private readonly HttpListener _listener = new();
    private readonly Func<HttpListenerContext, Task> _serve;
    private readonly Task _serving;
    private volatile bool _isClosed;

    /// <param name="serve">Answers a request; the next one is taken when it has returned.</param>
    public LocalListener(Func<HttpListenerContext, Task> serve)
    {
        _serve = serve;
        using (var probe = new TcpListener(IPAddress.Loopback, 0))
        {
            probe.Start();
            Address = new Uri($"http://127.0.0.1:{((IPEndPoint)probe.LocalEndpoint).Port}/");
        }

        _listener.Prefixes.Add(Address.ToString());
        _listener.Start();
        _serving = ServeAsync();
    }

    public Uri Address { get; }

    public async ValueTask DisposeAsync()
    {
        _isClosed = true;
        _listener.Close();
        // Whoever was killed or frozen in the middle of a request is not waited for.
        await _serving.WaitAsync(Patience, TimeProvider.System).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        if (_serving.IsFaulted)
            await _serving;
    }

    private async Task ServeAsync()
    {
        while (!_isClosed)
        {
            try
            {
                await _serve(await _listener.GetContextAsync());
            }
            catch (Exception) when (_isClosed)
            {
                return;
            }
            catch (Exception e) when (e is HttpListenerException or IOException)
            {
                // The other side has left.
            }
        }
    }
}
