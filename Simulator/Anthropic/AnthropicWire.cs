using System.Globalization;
using System.Text.Json;
using AiAspire.Simulator.Behaviours;
using AiAspire.Simulator.Wire;

namespace AiAspire.Simulator.Anthropic;

/// <summary>
/// Keys, headers and errors of the Anthropic wire:
/// <c>{"type":"error","error":{"type":"invalid_request_error","message":"max_tokens: Field required"},"request_id":"req_…"}</c>.
/// </summary>
internal sealed class AnthropicWire : ICompanyWire
{
    private const string BadRequest = "invalid_request_error";

    public string Authenticate(HttpRequest request)
    {
        // Since version 2026-10-21 the official SDKs send the key as a Bearer token; both ways are good.
        var key = request.Headers["x-api-key"].ToString().Trim();
        if (key.Length == 0) key = ApiKey.Bearer(request);
        if (key.Length == 0) throw new ProviderErrorException(new ProviderError(401, "authentication_error", "x-api-key header is required"));
        return key != ApiKey.Invalid ? key : throw new ProviderErrorException(Injected(401));
    }

    public bool CarriesKey(HttpRequest request) => request.Headers["x-api-key"].Count > 0 || request.Headers.Authorization.Count > 0;

    public void CheckHeaders(HttpRequest request)
    {
        if (request.Headers["anthropic-version"].Count == 0)
            throw new ProviderErrorException(new ProviderError(400, BadRequest, "anthropic-version: header is required"));
    }

    public void WriteIdentity(HttpResponse response, string requestId) => response.Headers["request-id"] = requestId;

    public void WriteTiming(HttpResponse response, TimeSpan elapsed)
    {
        // This company tells no processing time.
    }

    public void WriteLimits(HttpResponse response, LimitVerdict verdict, DateTimeOffset now)
    {
        Write("requests", verdict.Requests);
        Write("tokens", verdict.Tokens);

        void Write(string what, LimitView? view)
        {
            if (view is not { } limit) return;
            response.Headers[$"anthropic-ratelimit-{what}-limit"] = limit.Limit.ToString(CultureInfo.InvariantCulture);
            response.Headers[$"anthropic-ratelimit-{what}-remaining"] = limit.Remaining.ToString(CultureInfo.InvariantCulture);
            response.Headers[$"anthropic-ratelimit-{what}-reset"] = (now + limit.UntilFull).ToString("yyyy-MM-ddTHH:mm:ssZ", CultureInfo.InvariantCulture);
        }
    }

    public void WriteError(Utf8JsonWriter json, ProviderError error, string requestId)
    {
        json.WriteStartObject();
        json.WriteString("type"u8, "error"u8);
        json.WriteStartObject("error"u8);
        json.WriteString("type"u8, error.Type);
        json.WriteString("message"u8, error.Message);
        json.WriteEndObject();
        json.WriteString("request_id"u8, requestId);
        json.WriteEndObject();
    }

    public ProviderError UnknownRoute(string method, string path) => new(404, "not_found_error", "Not Found");

    public ProviderError WrongMethod(string method, string path) => new(405, BadRequest, "Method Not Allowed");

    public ProviderError TooLarge() => new(413, "request_too_large", "Request exceeds the maximum size");

    public ProviderError UnknownModel(string model) => new(404, "not_found_error", $"model: {model}");

    public ProviderError InvalidField(string param, string problem) => new(400, BadRequest, $"{Dotted(param)}: {problem}");

    public ProviderError MissingField(string param) => new(400, BadRequest, $"{Dotted(param)}: Field required");

    public ProviderError MalformedBody() => new(400, BadRequest, "The request body is not a valid JSON object.");

    public ProviderError Injected(int status) => status switch
    {
        401 => new(status, "authentication_error", "invalid x-api-key"),
        402 => new(status, "billing_error", "Your credit balance is too low to access the API."),
        403 => new(status, "permission_error", "Your API key does not have permission to use the specified resource."),
        404 => new(status, "not_found_error", "Not Found"),
        413 => new(status, "request_too_large", "Request exceeds the maximum size"),
        429 => new(status, "rate_limit_error", "This request would exceed your organization's rate limit. Please try again later."),
        504 => new(status, "timeout_error", "The request timed out."),
        529 => new(status, "overloaded_error", "Overloaded"),
        >= 500 => new(status, "api_error", "Internal server error"),
        _ => new(status, BadRequest, "The request was refused."),
    };

    public ProviderError LimitReached(string model, LimitVerdict verdict)
    {
        var limit = (verdict.Exceeded == "requests" ? verdict.Requests : verdict.Tokens)!.Value;
        var message = $"This request would exceed the rate limit of {limit.Limit} {verdict.Exceeded} per minute for {model}.";
        return new ProviderError(429, "rate_limit_error", message, Fault: "rate_limit") { RetryAfter = verdict.RetryAfter };
    }

    /// <summary>This company writes <c>messages.0.content</c> where the other writes <c>messages[0].content</c>.</summary>
    private static string Dotted(string param) => param.Replace("[", ".", StringComparison.Ordinal).Replace("]", "", StringComparison.Ordinal);
}
