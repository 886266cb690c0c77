using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.Options;

namespace AiAspire.Core.Notifications;

/// <summary>Turns a name into addresses.</summary>
public interface IHostResolver
{
    Task<IPAddress[]> ResolveAsync(string host, CancellationToken cancellationToken);
}

internal sealed class DnsResolver : IHostResolver
{
    public Task<IPAddress[]> ResolveAsync(string host, CancellationToken cancellationToken) => Dns.GetHostAddressesAsync(host, cancellationToken);
}

/// <summary>A webhook's name leads where a webhook must not go.</summary>
public sealed class TargetRefusedException(string message) : Exception(message);

/// <summary>
/// Opens the connections of webhooks. The name is resolved here, every address is checked, and the socket goes to the addresses that
/// were checked: between the check and the connection there is no second look-up that a rebinding name server could answer otherwise.
/// </summary>
public sealed class WebhookConnector(IHostResolver resolver, IOptions<NotificationOptions> options)
{
    /// <exception cref="TargetRefusedException">One of the name's addresses is not public.</exception>
    public async ValueTask<Stream> ConnectAsync(SocketsHttpConnectionContext context, CancellationToken cancellationToken)
    {
        var (host, port) = (context.DnsEndPoint.Host, context.DnsEndPoint.Port);
        var addresses = IPAddress.TryParse(host, out var literal) ? [literal] : await resolver.ResolveAsync(host, cancellationToken);
        if (addresses.Length == 0)
            throw new SocketException((int)SocketError.HostNotFound);
        // One bad address among good ones is refused too: no honest name has both.
        if (!options.Value.AllowPrivateTargets && Array.Find(addresses, a => !PublicAddresses.IsPublic(a)) is { } refused)
            throw new TargetRefusedException($"{host} leads to {refused}, which is not a public address.");
        SocketException? last = null;
        foreach (var address in addresses)
        {
            var socket = new Socket(address.AddressFamily, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
            try
            {
                await socket.ConnectAsync(new IPEndPoint(address, port), cancellationToken);
                return new NetworkStream(socket, ownsSocket: true);
            }
            catch (SocketException e)
            {
                socket.Dispose();
                last = e;
            }
            catch
            {
                socket.Dispose();
                throw;
            }
        }

        throw last!;
    }

    /// <summary>What is wrong with a webhook's address, as far as it can be seen without resolving it; null for nothing.</summary>
    public string? Fault(string url)
    {
        if (!Uri.TryCreate(url, UriKind.Absolute, out var uri) || uri.Scheme is not ("https" or "http"))
            return "must be an absolute https URL";
        if (uri.UserInfo.Length > 0)
            return "must not hold a user or password; requests are signed";
        if (options.Value.AllowPrivateTargets)
            return null;
        if (uri.Scheme != "https")
            return "must begin with https://";
        return (IPAddress.TryParse(uri.IdnHost.Trim('[', ']'), out var address) && !PublicAddresses.IsPublic(address)) || uri.IsLoopback
            ? "must lead to a public address"
            : null;
    }
}
