using System.Net.Http.Headers;
using AiAspire.Core.Models;
using AiAspire.Core.Providers;
using Microsoft.Extensions.Logging;

namespace AiAspire.Core.Routing;

/// <summary>Asks each provider that has a key for its list of models: free of charge, and it proves address, network and key.</summary>
public sealed partial class ProviderProbes(ModelCatalog catalog, ProviderKeys keys, ProviderBook book, ProviderHttp http, TimeProvider time, ILogger<ProviderProbes> logger)
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(10);
    private const string AnthropicVersion = "2023-06-01";

    public async Task RunAsync(CancellationToken cancellationToken)
    {
        await Task.WhenAll(catalog.Providers.Where(p => keys.Of(p.Key).Length > 0).Select(p => ProbeAsync(p.Key, p.Value, cancellationToken)));
        await book.WriteAsync();
        await book.DeleteOldAsync(cancellationToken);
    }

    private async Task ProbeAsync(string provider, ProviderOptions settings, CancellationToken cancellationToken)
    {
        // Each key, so that one which stopped working is known before a caller meets it.
        var fault = "no_key";
        foreach (var key in keys.Of(provider))
        {
            var found = await AskAsync(settings, key.Key, cancellationToken);
            if (found == "http_401")
                keys.Refused(key);
            fault = found is null || fault is null ? null : found;
        }

        book.Note(provider, ProviderMinute.Probe, fault);
        if (fault is not null)
            LogDown(logger, provider, fault);
    }

    /// <returns>Null when the provider answered as it should.</returns>
    private async Task<string?> AskAsync(ProviderOptions settings, ProviderKey key, CancellationToken cancellationToken)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, ProviderAddress.Of(settings, settings.Wire == ProviderWire.Anthropic ? "v1/models" : "models"));
        if (settings.Wire == ProviderWire.Anthropic)
        {
            request.Headers.Add("x-api-key", key.Secret);
            request.Headers.Add("anthropic-version", AnthropicVersion);
        }
        else if (key.Secret != ProvidersRegistration.NoKey)
        {
            request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", key.Secret);
        }

        using var timeout = new CancellationTokenSource(Limit, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(timeout.Token, cancellationToken);
        try
        {
            using var response = await http.Invoker.SendAsync(request, either.Token);
            return response.IsSuccessStatusCode ? null : $"http_{(int)response.StatusCode}";
        }
        catch (Exception e) when (e is HttpRequestException or IOException || (e is OperationCanceledException && !cancellationToken.IsCancellationRequested))
        {
            return e is OperationCanceledException ? "timeout" : "connection_failed";
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, EventName = "provider.probe_failed", Message = "Provider '{Provider}' does not answer its probe: {Fault}")]
    private static partial void LogDown(ILogger logger, string provider, string fault);
}
