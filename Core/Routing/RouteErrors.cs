using AiAspire.Core.Providers;
using AiAspire.Core.Wire;

namespace AiAspire.Core.Routing;

/// <summary>What the caller is told when no target served.</summary>
internal static class RouteErrors
{
    private static readonly TimeSpan DefaultRetryAfter = TimeSpan.FromSeconds(1);

    /// <summary>Nothing was sent: we keep to the provider's limits.</summary>
    public static WireException RateLimited(TimeSpan wait)
        => new(429, "rate_limit_error", "provider_rate_limited", "The rate limit of the model's provider is used up. Try again after the time in Retry-After.")
        {
            RetryAfter = wait > TimeSpan.Zero ? wait : DefaultRetryAfter,
        };

    /// <summary>Nothing was sent: every target failed lately.</summary>
    public static WireException Unavailable(TimeSpan wait)
        => new(503, "server_error", "provider_unavailable", "The model's providers are failing at the moment. Try again after the time in Retry-After.")
        {
            RetryAfter = wait > TimeSpan.Zero ? wait : DefaultRetryAfter,
        };

    public static WireException ToWire(ProviderException failure, bool midStream) => failure.Code switch
    {
        "refused" => new WireException(failure.Status ?? 400, "invalid_request_error", "provider_refused", failure.Message) { UpstreamBody = failure.Body, ShouldRetry = false },
        "rate_limited" => new WireException(429, "rate_limit_error", "provider_rate_limited", "The model's provider is limiting requests. Try again after the time in Retry-After.")
        {
            RetryAfter = failure.RetryAfter ?? DefaultRetryAfter,
        },
        "timeout" => new WireException(504, "server_error", "provider_timeout", failure.Message),
        "server_error" when failure.Status is 503 or 529 => new WireException(503, "server_error", "provider_unavailable", "The model's provider is overloaded. Try again later.")
        {
            RetryAfter = failure.RetryAfter ?? DefaultRetryAfter,
        },
        _ => new WireException(502, "server_error", $"provider_{failure.Code}", failure.Message)
        {
            // An error inside a stream is the provider's own word to the caller.
            UpstreamBody = midStream ? failure.Body : default,
        },
    };
}
