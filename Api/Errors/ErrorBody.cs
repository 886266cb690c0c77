using AiAspire.Core.Tenancy;

namespace AiAspire.Api.Errors;

/// <summary>OpenAI's error body: <c>{"error":{"message","type","param","code"}}</c>; null fields are written, as SDKs expect them present.</summary>
public sealed record ErrorBody(ErrorDetail Error)
{
    public static ErrorBody From(IdentityException exception)
        => new(new ErrorDetail(exception.Message, exception.Forbidden ? "permission_error" : "invalid_request_error", null, exception.Code));
}

/// <param name="Message">For people: what is wrong and what to do.</param>
/// <param name="Type">The class of error.</param>
/// <param name="Param">The field at fault.</param>
/// <param name="Code">A stable word for programs.</param>
public sealed record ErrorDetail(string Message, string Type, string? Param, string? Code);
