namespace AiAspire.Core.Wire;

/// <summary>
/// A refusal or failure that the caller is told about, in the terms of OpenAI's error object
/// (<c>{"error":{"message","type","param","code"}}</c>; <c>param</c> and <c>code</c> may be null, never absent).
/// </summary>
public sealed class WireException(int status, string type, string? code, string message, string? param = null) : Exception(message)
{
    /// <summary>HTTP status.</summary>
    public int Status { get; } = status;

    public string Type { get; } = type;

    public string? Code { get; } = code;

    /// <summary>The field at fault.</summary>
    public string? Param { get; } = param;

    /// <summary>When to try again; becomes <c>Retry-After</c>.</summary>
    public TimeSpan? RetryAfter { get; init; }

    /// <summary>Whether SDKs should retry (<c>x-should-retry</c>); null leaves it to their own rule by status.</summary>
    public bool? ShouldRetry { get; init; }

    /// <summary>The provider's own error object, passed on as it came when the fault was the caller's.</summary>
    public ReadOnlyMemory<byte> UpstreamBody { get; init; }

    public static WireException BadRequest(string message, string? param, string? code = null)
        => new(400, "invalid_request_error", code, message, param);

    public static WireException ModelRetired(string model, DateTimeOffset since, string? replacement) => new(
        404,
        "invalid_request_error",
        "model_not_found",
        $"The model `{model}` was retired on {since:yyyy-MM-dd}. " + (replacement is null ? "GET /v1/models lists what there is." : $"Use `{replacement}` instead."),
        "model");

    public static WireException ModelNotFound(string model)
        => new(404, "invalid_request_error", "model_not_found", $"The model `{model}` does not exist or you do not have access to it. GET /v1/models lists yours.", "model");
}
