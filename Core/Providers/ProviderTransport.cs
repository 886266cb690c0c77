using AiAspire.Core.Models;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.Options;

namespace AiAspire.Core.Providers;

/// <summary>
/// Prompts and company keys leave this machine encrypted. A name that service discovery resolves (<c>services:name:http:0</c>) is judged
/// by where it leads.
/// </summary>
internal sealed class ProviderTransport(IConfiguration configuration) : IValidateOptions<CatalogOptions>
{
    public ValidateOptionsResult Validate(string? name, CatalogOptions options)
    {
        var faults = options.Providers
            .Where(p => !string.IsNullOrEmpty(p.Value.ApiKey) && !p.Value.AllowPlaintext && p.Value.BaseAddress is { IsAbsoluteUri: true } address && !IsSafe(address) && !LeadsToSafety(address))
            .Select(p => $"Providers:{p.Key}:BaseAddress is {p.Value.BaseAddress}, another machine without TLS: use https, or set Providers:{p.Key}:AllowPlaintext=true when the network itself is encrypted.")
            .ToList();
        return faults.Count == 0 ? ValidateOptionsResult.Success : ValidateOptionsResult.Fail(faults);
    }

    private bool LeadsToSafety(Uri address)
    {
        var endpoints = configuration.GetSection($"services:{address.Host}").GetChildren().SelectMany(scheme => scheme.GetChildren()).Select(e => e.Value).ToList();
        return endpoints.Count > 0 && endpoints.TrueForAll(e => Uri.TryCreate(e, UriKind.Absolute, out var endpoint) && IsSafe(endpoint));
    }

    private static bool IsSafe(Uri address) => address.Scheme == Uri.UriSchemeHttps || address.IsLoopback;
}
