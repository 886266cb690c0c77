using Microsoft.Extensions.Configuration;

namespace AiAspire.ServiceDefaults.Transport;

/// <summary>Plain text travels on this machine only; across a network it takes a setting that says so.</summary>
public static class PlaintextRule
{
    /// <summary>
    /// Whether what is sent to this http address would cross a network unencrypted. A name that service discovery resolves
    /// (<c>services:name:http:0</c>) is judged by where it leads.
    /// </summary>
    public static bool Breaks(Uri address, IConfiguration configuration)
    {
        ArgumentNullException.ThrowIfNull(address);
        ArgumentNullException.ThrowIfNull(configuration);
        if (IsSafe(address))
            return false;
        var discovered = configuration.GetSection($"services:{address.Host}").GetChildren()
            .SelectMany(scheme => scheme.GetChildren().Select(e => e.Value).Append(scheme.Value))
            .OfType<string>()
            .ToList();
        return discovered.Count == 0 || !discovered.TrueForAll(e => Uri.TryCreate(e, UriKind.Absolute, out var endpoint) && IsSafe(endpoint));
    }

    private static bool IsSafe(Uri address) => address.Scheme == Uri.UriSchemeHttps || address.IsLoopback;
}
