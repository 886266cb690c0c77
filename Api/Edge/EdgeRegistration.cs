using AiAspire.Api.Errors;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.HostFiltering;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.Options;

namespace AiAspire.Api.Edge;

internal static class EdgeRegistration
{
    private static readonly TimeSpan RateGrace = TimeSpan.FromSeconds(5);

    /// <summary>What browsers may read of our answers beside the body.</summary>
    private static readonly string[] ExposedHeaders =
        [RequestIds.Header, "x-aiaspire-conversation", "retry-after", "retry-after-ms", "ratelimit", "ratelimit-policy"];

    /// <summary>Limits of Kestrel, forwarded headers, CORS, and the rules that a production system must meet to start.</summary>
    public static void AddEdge(this WebApplicationBuilder builder)
    {
        var services = builder.Services;
        services.AddOptions<ApiOptions>()
            .BindConfiguration(ApiOptions.Section, binder => binder.ErrorOnUnknownConfiguration = true)
            .ValidateDataAnnotations()
            .ValidateOnStart();
        services.AddOptions<KestrelServerOptions>().Configure<IOptions<ApiOptions>>((kestrel, api) => Limit(kestrel, api.Value));
        services.AddOptions<ForwardedHeadersOptions>().Configure<IOptions<ApiOptions>>((forwarded, api) => api.Value.BehindTlsProxy?.Apply(forwarded));
        // The framework's filter would answer in HTML; ours refuses by the same setting in the wire's own shape.
        services.PostConfigure<HostFilteringOptions>(hosts => (hosts.AllowedHosts, hosts.AllowEmptyHosts) = (["*"], true));
        services.AddCors();
        services.AddSingleton<IHostedService, ProductionRules>();
    }

    /// <summary>The outermost of the pipeline: request ids, errors in the wire's shape, refusals, headers, CORS.</summary>
    public static void UseEdge(this WebApplication app)
    {
        var options = app.Services.GetRequiredService<IOptions<ApiOptions>>().Value;
        if (options.BehindTlsProxy is not null)
            app.UseForwardedHeaders();
        app.UseMiddleware<RequestIds>();
        app.UseMiddleware<ErrorMiddleware>();
        app.UseMiddleware<EdgeMiddleware>();
        if (options.Cors.Origins.Length > 0)
            app.UseCors(policy => policy.WithOrigins(options.Cors.Origins).AllowAnyHeader().AllowAnyMethod().WithExposedHeaders(ExposedHeaders));
    }

    private static void Limit(KestrelServerOptions kestrel, ApiOptions api)
    {
        kestrel.AddServerHeader = false;
        kestrel.Limits.MaxRequestBodySize = api.MaxRequestBytes;
        kestrel.Limits.RequestHeadersTimeout = TimeSpan.FromSeconds(api.RequestHeadersSeconds);
        kestrel.Limits.KeepAliveTimeout = TimeSpan.FromSeconds(api.KeepAliveSeconds);
        kestrel.Limits.MinRequestBodyDataRate = new MinDataRate(api.MinBytesPerSecond, RateGrace);
        kestrel.Limits.MinResponseDataRate = new MinDataRate(api.MinBytesPerSecond, RateGrace);
    }
}
