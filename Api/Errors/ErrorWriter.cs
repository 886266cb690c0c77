using System.Globalization;
using AiAspire.Core.Wire;
using Microsoft.Extensions.Primitives;

namespace AiAspire.Api.Errors;

/// <summary>Writes errors in OpenAI's shape, with the headers that its SDKs obey.</summary>
internal static class ErrorWriter
{
    public static Task WriteAsync(HttpContext http, int status, ErrorBody body)
        => WriteAsync(http, new WireException(status, body.Error.Type, body.Error.Code, body.Error.Message, body.Error.Param));

    public static Task WriteAsync(HttpContext http, WireException exception)
    {
        // Of an answer under way the headers can no longer be changed.
        if (!http.Response.HasStarted)
            SetRetryHeaders(http.Response.Headers, exception);
        return WriteAsync(http, exception.Status, ErrorObject.BodyOf(exception));
    }

    private static async Task WriteAsync(HttpContext http, int status, ReadOnlyMemory<byte> json)
    {
        if (http.Response.HasStarted)
        {
            // An answer that breaks off must not look whole: without this a chunked body would simply end.
            http.Abort();
            return;
        }

        http.Response.StatusCode = status;
        http.Response.ContentType = "application/json";
        http.Response.ContentLength = json.Length;
        await http.Response.Body.WriteAsync(json, http.RequestAborted);
    }

    private static void SetRetryHeaders(IHeaderDictionary headers, WireException exception)
    {
        if (exception.RetryAfter is { } wait)
        {
            // Seconds, rounded up: a caller that comes back at that second must not be early (RFC 9110 §10.2.3).
            headers.RetryAfter = Math.Max(1, (long)Math.Ceiling(wait.TotalSeconds)).ToString(CultureInfo.InvariantCulture);
            headers["retry-after-ms"] = Math.Max(1, (long)Math.Ceiling(wait.TotalMilliseconds)).ToString(CultureInfo.InvariantCulture);
        }

        if (exception.ShouldRetry is { } retry)
            headers["x-should-retry"] = new StringValues(retry ? "true" : "false");
    }
}
