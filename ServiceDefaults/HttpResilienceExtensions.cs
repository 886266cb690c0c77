using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Http.Resilience;

namespace AiAspire.ServiceDefaults;

/// <summary>The resilience of outgoing HTTP: on for every client, off for those that bring their own.</summary>
public static class HttpResilienceExtensions
{
    /// <summary>
    /// Takes the default retries, breaker and time-outs off this client. For clients whose caller owns that policy: provider
    /// clients (per-target retries and breakers, answers that stream for minutes) and anything that must see each attempt.
    /// </summary>
    public static IHttpClientBuilder WithoutStandardResilience(this IHttpClientBuilder builder)
    {
#pragma warning disable EXTEXP0001 // The one public way to undo a handler that ConfigureHttpClientDefaults added.
        return builder.RemoveAllResilienceHandlers();
#pragma warning restore EXTEXP0001
    }

    internal static void AddStandardResilience(this IHttpClientBuilder builder) =>
        builder.AddStandardResilienceHandler(static options =>
            // A POST that timed out may have happened: only its caller knows whether it may be sent again.
            options.Retry.DisableForUnsafeHttpMethods());
}
