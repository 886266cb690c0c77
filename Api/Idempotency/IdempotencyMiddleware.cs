using System.Text;
using System.Text.Json;
using AiAspire.Api.Chat;
using AiAspire.Api.Identity;
using AiAspire.Core.Encryption;
using AiAspire.Core.Idempotency;

namespace AiAspire.Api.Idempotency;

/// <summary>
/// One effect for an <c>Idempotency-Key</c> at the endpoints that are marked so: claims the key before the endpoint runs, gives repeats
/// the kept answer, and lets the key go when the endpoint refused. The endpoint itself keeps its answer (<see cref="RequestClaim"/>).
/// </summary>
internal sealed class IdempotencyMiddleware(RequestDelegate next)
{
    public async Task InvokeAsync(HttpContext http)
    {
        if (http.GetEndpoint() is not RouteEndpoint endpoint
            || endpoint.Metadata.GetMetadata<IdempotencyKeyMetadata>() is not { ByMiddleware: true }
            || IdempotencyKey.Parse(http.Request.Headers[IdempotencyKey.Header]) is not { } key)
        {
            await next(http);
            return;
        }

        var services = http.RequestServices;
        var caller = services.GetRequiredService<RequestCaller>().Value;
        var userKeys = services.GetRequiredService<UserKeys>();
        var start = await services.GetRequiredService<IdempotencyStore>().BeginAsync(
            caller, $"POST {endpoint.RoutePattern.RawText}", key, await PayloadAsync(http.Request, http.RequestAborted), RequestIds.Of(http), http.RequestAborted);
        if (start.Replay is { } stored)
        {
            await ReplayAsync(http.Response, JsonSerializer.Deserialize<StoredAnswer>(stored)!, http.RequestAborted);
            return;
        }

        await using var claim = start.Claim!;
        try
        {
            var answer = services.GetRequiredService<RequestClaim>();
            answer.Hold(claim, await userKeys.GetAsync(caller.TenantId, caller.UserId, http.RequestAborted));
            await next(http);
            if (!answer.IsSettled && http.Response.StatusCode < 400)
                throw new InvalidOperationException($"{endpoint.DisplayName} has an effect but kept no answer for its repeats.");
            if (!answer.IsSettled)
                await claim.ReleaseAsync(CancellationToken.None);
        }
        catch
        {
            // An answer that was committed stays: only a key without one is let go.
            await claim.ReleaseAsync(CancellationToken.None);
            throw;
        }
    }

    /// <summary>What makes a request the same: where it goes, with its ids and query, and its body.</summary>
    private static async Task<ReadOnlyMemory<byte>> PayloadAsync(HttpRequest request, CancellationToken cancellationToken)
    {
        request.EnableBuffering();
        var body = await RequestBody.ReadAsync(request, cancellationToken);
        request.Body.Position = 0;
        return (byte[])[.. Encoding.UTF8.GetBytes($"{request.Path}{request.QueryString}\n"), .. body.Span];
    }

    private static Task ReplayAsync(HttpResponse response, StoredAnswer answer, CancellationToken cancellationToken)
    {
        response.StatusCode = answer.Status;
        response.Headers["Idempotent-Replayed"] = "true";
        if (answer.Location is not null)
            response.Headers.Location = answer.Location;
        return response.WriteAsJsonAsync(answer.Body, cancellationToken);
    }
}
