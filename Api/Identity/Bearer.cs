using AiAspire.Api.Errors;

namespace AiAspire.Api.Identity;

/// <summary>The bearer scheme's header and answers (RFC 6750), in OpenAI's error shape.</summary>
internal static class Bearer
{
    private const string Prefix = "Bearer ";

    public static string? TokenOf(HttpRequest request)
    {
        var header = request.Headers.Authorization;
        if (header.Count == 1 && header[0] is { } value && value.StartsWith(Prefix, StringComparison.OrdinalIgnoreCase))
        {
            var token = value[Prefix.Length..].Trim();
            return token.Length > 0 ? token : null;
        }

        return null;
    }

    public static Task ChallengeAsync(HttpContext http, string? code = null, string? message = null)
    {
        http.Response.Headers.WWWAuthenticate = "Bearer";
        return ErrorWriter.WriteAsync(http, StatusCodes.Status401Unauthorized, new ErrorBody(new ErrorDetail(
            message ?? "You didn't provide an API key or token. Send it as the header `Authorization: Bearer …`.", "invalid_request_error", null, code ?? "missing_credentials")));
    }

    public static Task ForbidAsync(HttpContext http)
        => ErrorWriter.WriteAsync(http, StatusCodes.Status403Forbidden, new ErrorBody(new ErrorDetail(
            "Your roles do not permit this.", "permission_error", null, "insufficient_role")));
}
