using System.Globalization;
using System.Text.Json;
using AiAspire.Simulator.Behaviours;
using AiAspire.Simulator.Wire;

namespace AiAspire.Simulator.OpenAi;

/// <summary>
/// Keys, headers and errors of the OpenAI wire. Errors look like
/// <c>{"error":{"message":"…","type":"invalid_request_error","param":"messages","code":null}}</c>; all four fields are always there.
/// </summary>
internal sealed class OpenAiWire : ICompanyWire
{
    private const string BadRequest = "invalid_request_error";

    public string Authenticate(HttpRequest request)
    {
        var key = ApiKey.Bearer(request);
        if (key.Length == 0)
        {
            throw Unauthorized("You didn't provide an API key. Send it as a Bearer token: Authorization: Bearer YOUR_KEY.", code: null);
        }

        return key != ApiKey.Invalid ? key : throw Unauthorized("Incorrect API key provided.", "invalid_api_key");
    }

    public bool CarriesKey(HttpRequest request) => request.Headers.Authorization.Count > 0;

    public void CheckHeaders(HttpRequest request)
    {
        // This company demands none.
    }

    public void WriteIdentity(HttpResponse response, string requestId)
    {
        response.Headers["x-request-id"] = requestId;
        response.Headers["openai-version"] = "2020-10-01";
    }

    public void WriteTiming(HttpResponse response, TimeSpan elapsed)
        => response.Headers["openai-processing-ms"] = ((long)elapsed.TotalMilliseconds).ToString(CultureInfo.InvariantCulture);

    public void WriteLimits(HttpResponse response, LimitVerdict verdict, DateTimeOffset now)
    {
        Write("requests", verdict.Requests);
        Write("tokens", verdict.Tokens);

        void Write(string what, LimitView? view)
        {
            if (view is not { } limit) return;
            response.Headers[$"x-ratelimit-limit-{what}"] = limit.Limit.ToString(CultureInfo.InvariantCulture);
            response.Headers[$"x-ratelimit-remaining-{what}"] = limit.Remaining.ToString(CultureInfo.InvariantCulture);
            response.Headers[$"x-ratelimit-reset-{what}"] = Duration(limit.UntilFull);
        }
    }

    public void WriteError(Utf8JsonWriter json, ProviderError error, string requestId)
    {
        json.WriteStartObject();
        WriteErrorObject(json, error.Message, error.Type, error.Param, error.Code);
        json.WriteEndObject();
    }

    /// <summary>The property <c>error</c>; also the payload of an error inside a stream.</summary>
    public static void WriteErrorObject(Utf8JsonWriter json, string message, string type, string? param, string? code)
    {
        json.WriteStartObject("error");
        json.WriteString("message", message);
        json.WriteString("type", type);
        json.WriteString("param", param);
        json.WriteString("code", code);
        json.WriteEndObject();
    }

    public ProviderError UnknownRoute(string method, string path) => new(404, BadRequest, $"Invalid URL ({method} {path})");

    public ProviderError WrongMethod(string method, string path)
        => new(405, BadRequest, $"Method {method} is not allowed on {path}.", Code: "method_not_supported");

    public ProviderError TooLarge() => new(413, BadRequest, "The request body is too large.", Code: "request_too_large");

    public ProviderError UnknownModel(string model)
        => new(404, BadRequest, $"The model `{model}` does not exist or you do not have access to it.", Code: "model_not_found");

    public ProviderError InvalidField(string param, string problem) => new(400, BadRequest, $"Invalid '{param}': {problem}.", param, "invalid_value");

    public ProviderError MissingField(string param)
        => new(400, BadRequest, $"Missing required parameter: '{param}'.", param, "missing_required_parameter");

    public ProviderError MalformedBody()
        => new(400, BadRequest, "We could not parse the JSON body of your request: the API expects a JSON object.");

    public ProviderError Injected(int status) => status switch
    {
        401 => new(status, BadRequest, "Incorrect API key provided.", Code: "invalid_api_key"),
        403 => new(status, BadRequest, "Country, region, or territory not supported.", Code: "unsupported_country_region_territory"),
        404 => new(status, BadRequest, "The model does not exist or you do not have access to it.", Code: "model_not_found"),
        429 => new(status, "requests", "Rate limit reached. Please try again later.", Code: "rate_limit_exceeded"),
        503 or 529 => new(status, "server_error", "The engine is currently overloaded, please try again later.", Code: "overloaded"),
        >= 500 => new(status, "server_error", "The server had an error while processing your request. Sorry about that!"),
        _ => new(status, BadRequest, "The request was refused."),
    };

    public ProviderError LimitReached(string model, LimitVerdict verdict)
    {
        var limit = (verdict.Exceeded == "requests" ? verdict.Requests : verdict.Tokens)!.Value;
        var unit = verdict.Exceeded == "requests" ? "requests per min (RPM)" : "tokens per min (TPM)";
        var message = verdict.TooLarge
            ? $"Request too large for {model} on {unit}: Limit {limit.Limit}, Requested {verdict.Asked}."
            : $"Rate limit reached for {model} on {unit}: Limit {limit.Limit}, Used {limit.Limit - limit.Remaining}, "
                + $"Requested {verdict.Asked}. Please try again in {Duration(verdict.RetryAfter)}.";
        return new ProviderError(429, verdict.Exceeded!, message, Code: "rate_limit_exceeded", Fault: "rate_limit") { RetryAfter = verdict.RetryAfter };
    }

    private static ProviderErrorException Unauthorized(string message, string? code) => new(new ProviderError(401, BadRequest, message, Code: code));

    /// <summary>Reset headers are durations in Go's notation: <c>120ms</c>, <c>7.66s</c>, <c>1m30s</c>, <c>0s</c>.</summary>
    internal static string Duration(TimeSpan span)
    {
        if (span <= TimeSpan.Zero) return "0s";
        if (span < TimeSpan.FromSeconds(1)) return $"{Math.Ceiling(span.TotalMilliseconds):0}ms";
        var seconds = $"{(span.TotalSeconds % 60).ToString("0.###", CultureInfo.InvariantCulture)}s";
        return span < TimeSpan.FromMinutes(1) ? seconds : $"{(int)span.TotalMinutes}m{seconds}";
    }
}
