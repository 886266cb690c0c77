using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using AiAspire.Evaluator.Reports;
using Microsoft.AspNetCore.Mvc;
using Microsoft.Extensions.Options;
using Microsoft.Net.Http.Headers;

namespace AiAspire.Evaluator.Service;

/// <summary><c>/v1/evaluations</c>: ask for one, look at one, list them. Errors have the body of the OpenAI wire.</summary>
internal static class EvaluationEndpoints
{
    private const int MaxRepeats = 20;
    private const int LongestModelName = 200;
    private const int LargestBody = 64 * 1024;

    public static void MapEvaluations(this IEndpointRouteBuilder endpoints)
    {
        var group = endpoints.MapGroup("/v1/evaluations").AddEndpointFilter(RequireKey);
        group.MapPost("", AskAsync).WithMetadata(new RequestSizeLimitAttribute(LargestBody));
        group.MapGet("", ListAsync);
        group.MapGet("/{id}", FindAsync);
    }

    private static ValueTask<object?> RequireKey(EndpointFilterInvocationContext context, EndpointFilterDelegate next)
    {
        const string Scheme = "Bearer ";
        var http = context.HttpContext;
        var expected = http.RequestServices.GetRequiredService<IOptions<EvaluatorOptions>>().Value.ApiKey;
        var header = http.Request.Headers.Authorization.ToString();
        // Hashed first, so that neither content nor length shows in the time of the comparison.
        if (header.StartsWith(Scheme, StringComparison.OrdinalIgnoreCase)
            && CryptographicOperations.FixedTimeEquals(Hash(header[Scheme.Length..].Trim()), Hash(expected)))
            return next(context);

        http.Response.Headers[HeaderNames.WWWAuthenticate] = "Bearer";
        return ValueTask.FromResult<object?>(Error(401, "invalid_api_key", "The API key is missing or not the one of this service.", null));

        static byte[] Hash(string text) => SHA256.HashData(Encoding.UTF8.GetBytes(text));
    }

    private static async Task<IResult> AskAsync(
        HttpRequest http, EvaluationStore store, EvaluationQueue queue, TimeProvider time, CancellationToken cancellationToken)
    {
        // Read here and not by binding, which would come before the check of the key.
        EvaluationRequest? request;
        try
        {
            request = await http.ReadFromJsonAsync<EvaluationRequest>(ReportJson.Options, cancellationToken);
        }
        catch (Exception problem) when (problem is JsonException or InvalidOperationException)
        {
            return Error(400, "invalid_json", "The body is not the JSON object that is expected here.", null);
        }

        if (request is null)
            return Error(400, "invalid_json", "The body is null.", null);
        if (Invalid(request) is { } refusal)
            return refusal;
        if (store.FindSuite(request.Suite!) is null)
            return Error(404, "suite_not_found", $"There is no suite '{request.Suite}'.", "suite");

        var record = new EvaluationRecord
        {
            Id = store.NewId(),
            State = EvaluationState.Queued,
            Suite = request.Suite!,
            Model = request.Model!,
            Baseline = request.Baseline,
            Repeats = request.Repeats,
            CreatedAt = time.GetUtcNow(),
        };
        if (!await queue.TryEnqueueAsync(record, cancellationToken))
        {
            http.HttpContext.Response.Headers.RetryAfter = "60";
            return Error(429, "queue_full", "Too many evaluations are waiting; ask again later.", null);
        }

        http.HttpContext.Response.Headers.Location = $"/v1/evaluations/{record.Id}";
        return Results.Json(record, ReportJson.Options, statusCode: 202);
    }

    private static async Task<IResult> FindAsync(string id, EvaluationStore store, CancellationToken cancellationToken) =>
        await store.FindAsync(id, cancellationToken) is { } record
            ? Results.Json(record, ReportJson.Options)
            : Error(404, "evaluation_not_found", $"There is no evaluation '{id}'.", "id");

    private static async Task<IResult> ListAsync(EvaluationStore store, CancellationToken cancellationToken) =>
        Results.Json(new { Object = "list", Data = await store.ListAsync(cancellationToken) }, ReportJson.Options);

    private static IResult? Invalid(EvaluationRequest request)
    {
        if (string.IsNullOrWhiteSpace(request.Suite))
            return Error(400, "invalid_value", "'suite' is missing.", "suite");
        if (string.IsNullOrWhiteSpace(request.Model) || request.Model.Length > LongestModelName)
            return Error(400, "invalid_value", "'model' is missing or too long.", "model");
        if (request.Baseline is { } baseline && (string.IsNullOrWhiteSpace(baseline) || baseline.Length > LongestModelName))
            return Error(400, "invalid_value", "'baseline' is empty or too long.", "baseline");
        return request.Repeats is < 1 or > MaxRepeats
            ? Error(400, "invalid_value", $"'repeats' must be between 1 and {MaxRepeats}.", "repeats")
            : null;
    }

    // {"error":{"message":"…","type":"invalid_request_error","param":"suite","code":"suite_not_found"}}
    private static IResult Error(int status, string code, string message, string? param) => Results.Json(
        new { Error = new { Message = message, Type = status == 429 ? "rate_limit_error" : "invalid_request_error", Param = param, Code = code } },
        ReportJson.Options,
        statusCode: status);
}
