using System.ComponentModel.DataAnnotations;
using System.Net;
using Microsoft.AspNetCore.HttpOverrides;

namespace AiAspire.Api.Edge;

/// <summary>
/// Section <c>Api:BehindTlsProxy</c>. From a known proxy, and from it alone, <c>X-Forwarded-For</c> and <c>X-Forwarded-Proto</c> say who
/// the client is and whether it came over TLS. <c>X-Forwarded-Host</c> is never believed.
/// </summary>
public sealed class TlsProxyOptions
{
    private const int DefaultHops = 1;
    private const int MostHops = 10;

    /// <summary>Addresses of proxies.</summary>
    public string[] KnownProxies { get; init; } = [];

    /// <summary>Networks that hold nothing but proxies, as <c>10.1.0.0/16</c>.</summary>
    public string[] KnownNetworks { get; init; } = [];

    /// <summary>Proxies in a row, each known. Default 1.</summary>
    public int MaxHops { get; init; } = DefaultHops;

    internal IEnumerable<ValidationResult> Faults()
    {
        if (KnownProxies.Length + KnownNetworks.Length == 0)
            yield return Fault("names no proxy: set Api:BehindTlsProxy:KnownProxies or :KnownNetworks, so that nobody else can pose as one.");
        foreach (var proxy in KnownProxies.Where(p => !IPAddress.TryParse(p, out _)))
            yield return Fault($"has the KnownProxies entry '{proxy}', which is no IP address.");
        foreach (var network in KnownNetworks)
        {
            if (!System.Net.IPNetwork.TryParse(network, out var parsed))
                yield return Fault($"has the KnownNetworks entry '{network}', which is no network; write it like 10.1.0.0/16.");
            else if (parsed.PrefixLength == 0)
                yield return Fault($"has the KnownNetworks entry '{network}', which is everybody: name the network of the proxies alone.");
        }

        if (MaxHops is < 1 or > MostHops)
            yield return Fault($"has MaxHops {MaxHops}; it must be between 1 and {MostHops}.");
    }

    internal void Apply(ForwardedHeadersOptions forwarded)
    {
        forwarded.ForwardedHeaders = ForwardedHeaders.XForwardedFor | ForwardedHeaders.XForwardedProto;
        forwarded.ForwardLimit = MaxHops;
        // The defaults trust loopback, where other users of the machine are too.
        forwarded.KnownProxies.Clear();
        forwarded.KnownIPNetworks.Clear();
        foreach (var proxy in KnownProxies)
            forwarded.KnownProxies.Add(IPAddress.Parse(proxy));
        foreach (var network in KnownNetworks)
            forwarded.KnownIPNetworks.Add(System.Net.IPNetwork.Parse(network));
    }

    private static ValidationResult Fault(string text) => new("Api:BehindTlsProxy " + text, [nameof(ApiOptions.BehindTlsProxy)]);
}
