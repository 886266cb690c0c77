using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using Aspire.Hosting.ApplicationModel;
using Microsoft.Extensions.Configuration;

namespace Aspire.Hosting.Embedded;

/// <summary>
/// Gives every endpoint its ports before anything starts. Free ones are drawn at random from below the ephemeral range, which the
/// kernel uses for outgoing connections: so neither those nor a second AppHost starting at the same moment take them from us.
/// </summary>
internal static class PortPlan
{
    private const int Lowest = 15_000;
    private const int Highest = 32_000;

    /// <exception cref="DistributedApplicationException">A fixed port is taken, or belongs to nobody.</exception>
    public static void Allocate(IReadOnlyList<IResource> resources, IConfiguration configuration)
    {
        var fixedPorts = configuration.GetSection("Ports").GetChildren().ToDictionary(p => p.Key, p => p.Value, StringComparer.OrdinalIgnoreCase);
        var given = new HashSet<int>();
        foreach (var resource in resources.OfType<Resource>())
        {
            fixedPorts.Remove(resource.Name, out var text);
            var asked = text is null ? (int?)null : LaunchOptions.ParsePort($"{resource.Name}={text}").Port;
            foreach (var endpoint in resource.Endpoints)
                endpoint.Allocated = [.. Enumerable.Range(0, resource.Replicas).Select(replica =>
                    (asked ?? endpoint.Port) is { } port && replica == 0 ? Fixed(resource, port, given) : Free(given))];
        }

        if (fixedPorts.Count > 0)
            throw new DistributedApplicationException($"There is no resource '{fixedPorts.Keys.First()}' to give a port to.");
    }

    private static int Fixed(Resource resource, int port, HashSet<int> given) => given.Add(port) && IsFree(port)
        ? port
        : throw new DistributedApplicationException($"Port {port} for '{resource.Name}' is in use; free it, or choose another with --port {resource.Name}=N.");

    private static int Free(HashSet<int> given)
    {
        for (var attempt = 0; attempt < 1_000; attempt++)
        {
            var port = RandomNumberGenerator.GetInt32(Lowest, Highest);
            if (!given.Contains(port) && IsFree(port) && given.Add(port))
                return port;
        }

        throw new DistributedApplicationException($"No free port between {Lowest} and {Highest}.");
    }

    internal static bool IsFree(int port)
    {
        using var probe = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            probe.Bind(new IPEndPoint(IPAddress.Loopback, port));
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }
}
