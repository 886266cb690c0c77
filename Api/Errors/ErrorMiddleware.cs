using AiAspire.Api.Identity;
using AiAspire.Core.Encryption;
using AiAspire.Core.Idempotency;
using AiAspire.Core.Tenancy;
using AiAspire.Core.Wire;
using AiAspire.ServiceDefaults.Logging;
using Npgsql;

namespace AiAspire.Api.Errors;

/// <summary>Turns whatever goes wrong into OpenAI's error body; what is unforeseen is logged and told without its details.</summary>
internal sealed partial class ErrorMiddleware(RequestDelegate next, ILogger<ErrorMiddleware> logger)
{
    private const int ClientClosedRequest = 499;
    private static readonly TimeSpan TryAgainAfter = TimeSpan.FromSeconds(1);

    /// <summary>Of a store that restarts, the database or the keys'. An SDK that is told to try five times lasts for fifteen seconds.</summary>
    private static readonly TimeSpan TryStoreAgainAfter = TimeSpan.FromSeconds(3);

    public async Task InvokeAsync(HttpContext http)
    {
        try
        {
            await next(http);
            await ExplainEmptyAsync(http);
        }
        catch (WireException e)
        {
            using var identified = Identify(http);
            LogRefused(logger, http.Request.Method, http.Request.Path, e.Status, e.Code, e.Message);
            await ErrorWriter.WriteAsync(http, e);
        }
        catch (IdentityException e) when (e.Code == IdentityException.UserErased)
        {
            await ErrorWriter.WriteAsync(http, Erased());
        }
        catch (IdentityException e)
        {
            await ErrorWriter.WriteAsync(http, e.Forbidden ? StatusCodes.Status403Forbidden : StatusCodes.Status401Unauthorized, ErrorBody.From(e));
        }
        catch (BadHttpRequestException e) when (UnreadRequest.Of(e) is { } told)
        {
            using var identified = Identify(http);
            LogRefused(logger, http.Request.Method, http.Request.Path, told.Status, told.Code, told.Message);
            await ErrorWriter.WriteAsync(http, told);
        }
        catch (BadHttpRequestException e)
        {
            await WriteUnreadableAsync(http, e.StatusCode, e.Message);
        }
        catch (IOException e) when (e.InnerException is OverflowException)
        {
            // Kestrel's way of saying that a chunk's size is beyond any number.
            await WriteUnreadableAsync(http, StatusCodes.Status400BadRequest, e.Message);
        }
        catch (Exception e) when (http.RequestAborted.IsCancellationRequested && e is OperationCanceledException or IOException)
        {
            if (!http.Response.HasStarted)
                http.Response.StatusCode = ClientClosedRequest;
        }
        catch (Exception e) when (Foreseen(e) is { } told)
        {
            using var identified = Identify(http);
            LogFailed(logger, http.Request.Method, http.Request.Path, e);
            await ErrorWriter.WriteAsync(http, told);
        }
        catch (Exception e)
        {
            using var identified = Identify(http);
            LogFailed(logger, http.Request.Method, http.Request.Path, e);
            await ErrorWriter.WriteAsync(http, StatusCodes.Status500InternalServerError, new ErrorBody(new ErrorDetail(
                $"Something went wrong on our side. Name the request id {http.Response.Headers[RequestIds.Header]} when you report it.", "server_error", null, "internal_error")));
        }
    }

    /// <summary>The scope in which log lines bear the caller has ended where the exception passed it. What tells of errors must not fail itself: nobody known is no fault.</summary>
    private static IDisposable? Identify(HttpContext http)
        => http.RequestServices?.GetService<RequestCaller>()?.Known is { } caller
            ? LogContext.Push(tenantId: caller.TenantId.ToString(), userId: caller.UserId.ToString())
            : null;

    /// <summary>What was to be read of it is not known, so nothing after it on the connection can be trusted to be another request.</summary>
    private static Task WriteUnreadableAsync(HttpContext http, int status, string message)
    {
        if (!http.Response.HasStarted && HttpProtocol.IsHttp11(http.Request.Protocol))
            http.Response.Headers.Connection = "close";
        var code = status == StatusCodes.Status413PayloadTooLarge ? "request_too_large" : "invalid_request";
        return ErrorWriter.WriteAsync(http, status, new ErrorBody(new ErrorDetail(message, "invalid_request_error", null, code)));
    }

    /// <summary>What may go wrong beneath an endpoint through nobody's fault, in the caller's terms.</summary>
    private static WireException? Foreseen(Exception exception) => exception switch
    {
        PostgresException { SqlState: IdempotencyClaim.TakenOver } => new WireException(
            409, "idempotency_error", "request_in_progress", "Another request took this Idempotency-Key over; nothing of this one counts.")
        { RetryAfter = TryAgainAfter },
        UserKeyDestroyedException => Erased(),
        MasterKeyUnavailableException => new WireException(
            503, "server_error", "keys_unavailable", "The keys cannot be reached at the moment. Try again shortly.")
        { RetryAfter = TryStoreAgainAfter },
        // No connection to be had, or a server that is restarting: the caller may try again, and SDKs do.
        NpgsqlException { IsTransient: true } or TimeoutException => new WireException(
            503, "server_error", "database_unavailable", "The service is busy or restarting. Try again shortly.")
        { RetryAfter = TryStoreAgainAfter },
        _ => null,
    };

    private static WireException Erased() => new(
        410, "invalid_request_error", IdentityException.UserErased, "This user was erased; nothing of theirs can be read or written any more.")
    { ShouldRetry = false };

    /// <summary>A status without a body (no route, wrong method) gets one.</summary>
    private static Task ExplainEmptyAsync(HttpContext http)
    {
        var response = http.Response;
        if (response.HasStarted || response.StatusCode < 400 || response.ContentType is not null)
            return Task.CompletedTask;
        var message = response.StatusCode switch
        {
            StatusCodes.Status404NotFound => $"There is nothing at {http.Request.Method} {http.Request.Path}. The routes are listed at /openapi/v1.json.",
            StatusCodes.Status405MethodNotAllowed => $"{http.Request.Method} is not allowed at {http.Request.Path}; allowed: {response.Headers.Allow}.",
            StatusCodes.Status415UnsupportedMediaType when http.Request.Path.StartsWithSegments("/v1/files", StringComparison.OrdinalIgnoreCase) => Files.FileForm.Wanted,
            StatusCodes.Status415UnsupportedMediaType => "Send JSON with Content-Type: application/json.",
            _ => "The request was refused.",
        };
        return ErrorWriter.WriteAsync(http, response.StatusCode, new ErrorBody(new ErrorDetail(
            message, "invalid_request_error", null, response.StatusCode == StatusCodes.Status404NotFound ? "not_found" : null)));
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "{Method} {Path} refused with {Status} {Code}: {Reason}")]
    private static partial void LogRefused(ILogger logger, string method, string path, int status, string? code, string reason);

    [LoggerMessage(Level = LogLevel.Error, Message = "{Method} {Path} failed")]
    private static partial void LogFailed(ILogger logger, string method, string path, Exception exception);
}
