using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Text.Json;
using AiAspire.Core.Wire;

namespace AiAspire.Core.Providers;

/// <summary>What a provider's HTTP status means for the route.</summary>
internal static class ProviderErrors
{
    /// <summary>An error page larger than this is not read: it is no API's error object.</summary>
    private const int MaxBodyBytes = 64 * 1024;

    /// <summary>The next target is not kept waiting for an explanation.</summary>
    private static readonly TimeSpan MostForBody = TimeSpan.FromSeconds(2);

    public static async Task<ProviderException> FromResponseAsync(HttpResponseMessage response, TimeProvider time, Deadline deadline)
    {
        var body = ReadOnlyMemory<byte>.Empty;
        using var patience = new CancellationTokenSource(MostForBody, time);
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(patience.Token, deadline.Token);
        try
        {
            // Beyond the limit it throws, also when the length was not announced.
            await response.Content.LoadIntoBufferAsync(MaxBodyBytes, limit.Token);
            body = await response.Content.ReadAsByteArrayAsync(limit.Token);
        }
        catch (Exception e) when (e is HttpRequestException or IOException or OperationCanceledException)
        {
            deadline.ThrowIfCallerLeft();
            // The status says enough; its body is a courtesy.
            body = ReadOnlyMemory<byte>.Empty;
        }

        return FromStatus((int)response.StatusCode, body, RetryAfter(response.Headers, time));
    }

    public static ProviderException FromStatus(int status, ReadOnlyMemory<byte> body, TimeSpan? retryAfter, Exception? inner = null)
    {
        // The same status may tell of the caller's request and of our account (Anthropic's 400 for a used-up credit).
        var said = status is >= 400 and < 500 ? MessageIn(body) : null;
        var (code, message) = (HttpStatusCode)status switch
        {
            HttpStatusCode.TooManyRequests => ("rate_limited", "The provider is limiting our requests."),
            // Our key was refused, or its account: nothing the caller can mend.
            HttpStatusCode.Unauthorized or HttpStatusCode.PaymentRequired or HttpStatusCode.Forbidden => ("auth_failed", "The provider refused our credentials."),
            HttpStatusCode.BadRequest when said is not null && said.Contains("credit balance", StringComparison.OrdinalIgnoreCase) => ("auth_failed", "The provider refused our account."),
            HttpStatusCode.NotFound => ("model_unavailable", "The provider does not know the model."),
            HttpStatusCode.RequestTimeout or HttpStatusCode.Conflict => ("server_error", "The provider asked to try again."),
            >= HttpStatusCode.BadRequest and < HttpStatusCode.InternalServerError => ("refused", "The provider refused the request."),
            _ => ("server_error", "The provider failed."),
        };
        // The caller's own fault is told in the provider's words, and in OpenAI's shape also when the provider's is another.
        if (code == "refused" && said is not null)
            body = ErrorObject.BodyOf(new WireException(status, "invalid_request_error", "provider_refused", said) { UpstreamBody = body });
        return new ProviderException(code, message, status, inner) { Body = body, RetryAfter = retryAfter };
    }

    /// <summary>What an error object of either wire says (<c>{"error":{"message"}}</c>); null when it is none.</summary>
    private static string? MessageIn(ReadOnlyMemory<byte> body)
    {
        if (body.IsEmpty)
            return null;
        try
        {
            using var document = JsonDocument.Parse(body);
            return document.RootElement.ValueKind == JsonValueKind.Object
                && document.RootElement.TryGetProperty("error"u8, out var error) && error.ValueKind == JsonValueKind.Object
                && error.TryGetProperty("message"u8, out var message) && message.ValueKind == JsonValueKind.String
                    ? message.GetString()
                    : null;
        }
        catch (JsonException)
        {
            return null;
        }
    }

    /// <summary><c>retry-after-ms</c>, else <c>Retry-After</c> in seconds or as a date (RFC 9110 §10.2.3).</summary>
    public static TimeSpan? RetryAfter(HttpResponseHeaders headers, TimeProvider time)
    {
        if (headers.TryGetValues("retry-after-ms", out var values)
            && double.TryParse(values.First(), NumberStyles.Float, CultureInfo.InvariantCulture, out var milliseconds) && milliseconds >= 0)
            return TimeSpan.FromMilliseconds(Math.Min(milliseconds, int.MaxValue));
        var header = headers.RetryAfter;
        return header?.Delta ?? (header?.Date - time.GetUtcNow() is { } wait && wait > TimeSpan.Zero ? wait : null);
    }
}
