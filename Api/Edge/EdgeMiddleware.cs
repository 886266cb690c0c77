using AiAspire.Core.Wire;
using AiAspire.ServiceDefaults.Health;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Extensions.Options;

namespace AiAspire.Api.Edge;

/// <summary>The first rules of every request: what is refused before anyone is asked who they are, and headers for every answer.</summary>
internal sealed class EdgeMiddleware(RequestDelegate next, IConfiguration configuration, IHostEnvironment environment, IOptions<ApiOptions> options)
{
    /// <summary>Kestrel puts the length here that it took off a chunked request.</summary>
    private const string ReplacedLength = "X-Content-Length";

    private readonly AllowedHosts _hosts = AllowedHosts.Of(configuration);
    private readonly bool _isProduction = environment.IsProduction();
    private readonly bool _behindProxy = options.Value.BehindTlsProxy is not null;

    public Task InvokeAsync(HttpContext http)
    {
        http.Response.OnStarting(SetHeaders, http);
        return Refusal(http) is { } refusal ? throw refusal : next(http);
    }

    private WireException? Refusal(HttpContext http)
    {
        var request = http.Request;
        // Probes call a process by its address and come from the machine it runs on.
        var isProbe = HealthEndpoints.IsProbe(request.Path);
        if (!AllowedHosts.IsWellFormed(request.Host) || (!isProbe && !_hosts.Contain(request.Host)))
            return Refuse("invalid_host", "The Host header does not name this service.");
        if (_isProduction && _behindProxy && !request.IsHttps && !isProbe)
            return Refuse("https_required", "This service is reached over https only. If this credential was sent over http, replace it.");
        if (request.Headers.TransferEncoding.Count > 0 && (request.ContentLength is not null || request.Headers.ContainsKey(ReplacedLength)))
        {
            // RFC 9112 §6.3: a server may refuse both, and then closes the connection, because what follows may be another's reading.
            http.Response.Headers.Connection = "close";
            return Refuse("invalid_request", "Send either Content-Length or Transfer-Encoding, not both.");
        }

        // Before any room is made for it.
        if (http.Features.Get<IHttpMaxRequestBodySizeFeature>() is { } limit && request.ContentLength > limit.MaxRequestBodySize)
        {
            // The server would close the connection on it, and whoever is still sending would see that instead of the answer (RFC 9112, section 9.6). Now it
            // reads on, for five seconds at most, and throws away.
            limit.MaxRequestBodySize = null;
            // An endpoint may have a limit of its own, which it names.
            return http.GetEndpoint()?.Metadata.GetMetadata<BodyLimit>()?.Refusal ?? new WireException(413, "invalid_request_error", "request_too_large",
                $"The body has {request.ContentLength} bytes; at most {options.Value.MaxRequestBytes} are taken (Api:MaxRequestBytes).");
        }

        return null;
    }

    private static WireException Refuse(string code, string message) => new(400, "invalid_request_error", code, message) { ShouldRetry = false };

    private Task SetHeaders(object state)
    {
        var http = (HttpContext)state;
        var headers = http.Response.Headers;
        headers.XContentTypeOptions = "nosniff";
        headers["Referrer-Policy"] = "no-referrer";
        headers.ContentSecurityPolicy = ContentPolicy.For(http);
        if (http.Request.Path.StartsWithSegments("/v1", StringComparison.OrdinalIgnoreCase))
            headers.CacheControl = "no-store";
        if (_isProduction && http.Request.IsHttps)
            headers.StrictTransportSecurity = "max-age=31536000";
        return Task.CompletedTask;
    }
}
