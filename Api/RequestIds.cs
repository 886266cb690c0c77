using AiAspire.Core.Data;
using AiAspire.ServiceDefaults.Logging;

namespace AiAspire.Api;

/// <summary>Gives each request its id: in <c>x-request-id</c> of every response, in every log line, and in the ledger.</summary>
internal sealed class RequestIds(RequestDelegate next, TimeProvider time)
{
    public const string Header = "x-request-id";
    private static readonly object Key = new();

    public async Task InvokeAsync(HttpContext http)
    {
        var id = time.NewId();
        http.Items[Key] = id;
        http.Response.Headers[Header] = id.ToString();
        using (LogContext.Push(requestId: id.ToString()))
            await next(http);
    }

    public static Guid Of(HttpContext http) => (Guid)http.Items[Key]!;
}
