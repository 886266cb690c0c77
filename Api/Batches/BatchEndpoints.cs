using System.Text.Json;
using AiAspire.Api.Admin;
using AiAspire.Api.Errors;
using AiAspire.Api.Files;
using AiAspire.Api.Idempotency;
using AiAspire.Api.Identity;
using AiAspire.Core.Batches;
using AiAspire.Core.Chat;
using AiAspire.Core.Data;
using AiAspire.Core.Encryption;
using AiAspire.Core.Files;
using AiAspire.Core.Idempotency;
using AiAspire.Core.Wire;
using Microsoft.AspNetCore.Http.HttpResults;

namespace AiAspire.Api.Batches;

internal static class BatchEndpoints
{
    /// <summary>The one completion window there is, as at OpenAI.</summary>
    public const string Window = "24h";

    private const int MaxMetadata = 16;
    private const int MaxMetadataName = 64;
    private const int MaxMetadataValue = 512;

    public static void MapBatches(this IEndpointRouteBuilder v1)
    {
        var batches = v1.MapGroup("/batches").WithTags("Batches");
        batches.MapPost("/", CreateAsync).WithName("createBatch").WithSummary("Answer the requests of an uploaded file within a day.")
            .Produces<ErrorBody>(StatusCodes.Status400BadRequest).Produces<ErrorBody>(StatusCodes.Status404NotFound).ClaimsKeyItself();
        batches.MapGet("/", ListAsync).WithName("listBatches").WithSummary("Your batches, newest first.");
        batches.MapGet("/{id}", GetAsync).WithName("retrieveBatch").WithSummary("A batch of yours, and how far it is.").Produces<ErrorBody>(StatusCodes.Status404NotFound);
        batches.MapPost("/{id}/cancel", CancelAsync).WithName("cancelBatch")
            .WithSummary("Cancel a batch of yours: requests that have begun are finished, the rest is not begun. What was answered is in its files.")
            .Produces<ErrorBody>(StatusCodes.Status404NotFound).Produces<ErrorBody>(StatusCodes.Status409Conflict);
    }

    private static async Task<Ok<BatchResponse>> CreateAsync(
        CreateBatchRequest body, HttpContext http, RequestCaller caller, TenantSession session, BatchStore batches, FileStore files, IdempotencyStore idempotency, UserKeys userKeys,
        CancellationToken cancellationToken)
    {
        Validate(body);
        TimeSpan? outputKeptFor = body.OutputExpiresAfter is { } expires
            ? ExpiresAfter.Check(expires.Anchor, expires.Seconds, "output_expires_after.anchor", "output_expires_after.seconds")
            : null;
        var fileId = WireId.File(body.InputFileId) ?? throw FileEndpoints.NotFound("input_file_id");
        var key = IdempotencyKey.Parse(http.Request.Headers[IdempotencyKey.Header]);
        var start = key is null
            ? default
            : await idempotency.BeginAsync(caller.Value, "POST /v1/batches", key, JsonSerializer.SerializeToUtf8Bytes(body, JsonSerializerOptions.Web), RequestIds.Of(http), cancellationToken);
        if (start.Replay is { } stored)
        {
            http.Response.Headers["Idempotent-Replayed"] = "true";
            return await AnswerAsync(new Guid(stored), session, batches, cancellationToken);
        }

        await using var claim = start.Claim;
        try
        {
            var file = await files.FindAsync(session, fileId, cancellationToken) ?? throw FileEndpoints.NotFound("input_file_id");
            if (file.Purpose != FilePurposes.Batch)
                throw Invalid("input_file_id", $"The file has the purpose {file.Purpose}; a batch reads files of the purpose {FilePurposes.Batch}.");
            var cipher = claim is null ? null : await userKeys.GetAsync(caller.Value.TenantId, caller.Value.UserId, cancellationToken);
            // Batch, job and stored answer are one transaction.
            var id = await batches.CreateAsync(
                session, body.Endpoint!, fileId, body.Metadata, outputKeptFor, claim is null ? null : (transaction, made) => claim.AddCompletion(transaction, cipher!, made.ToByteArray()), cancellationToken);
            return await AnswerAsync(id, session, batches, cancellationToken);
        }
        catch
        {
            if (claim is not null)
                await claim.ReleaseAsync(CancellationToken.None);
            throw;
        }
    }

    private static void Validate(CreateBatchRequest body)
    {
        if (string.IsNullOrEmpty(body.InputFileId))
            throw WireException.BadRequest("'input_file_id' is missing: upload the requests to /v1/files first.", "input_file_id", "missing_required_parameter");
        if (body.Endpoint is null || !RequestParser.Endpoints.Contains(body.Endpoint, StringComparer.Ordinal))
            throw Invalid("endpoint", $"'endpoint' must be one of {string.Join(", ", RequestParser.Endpoints)}.");
        if (body.CompletionWindow != Window)
            throw Invalid("completion_window", $"'completion_window' must be {Window}.");
        if (body.Metadata is not { } metadata)
            return;
        if (metadata.Count > MaxMetadata)
            throw Invalid("metadata", $"'metadata' has {metadata.Count} entries, and {MaxMetadata} are taken.");
        foreach (var (name, value) in metadata)
        {
            if (name.Length is 0 or > MaxMetadataName || value is null || value.Length > MaxMetadataValue)
                throw Invalid("metadata", $"'metadata' takes names of 1 to {MaxMetadataName} characters and texts of up to {MaxMetadataValue}.");
        }
    }

    private static async Task<Ok<PageResponse<BatchResponse>>> ListAsync(TenantSession session, BatchStore batches, int? limit, string? after, CancellationToken cancellationToken)
    {
        var take = Administration.Limit(limit);
        Guid? cursor = after is null ? null : WireId.Batch(after) ?? throw Invalid("after", "'after' must be the id of a batch.");
        var rows = await batches.ListAsync(session, cursor, take + 1, cancellationToken);
        List<BatchResponse> page = [.. rows.Take(take).Select(BatchResponse.Of)];
        return TypedResults.Ok(new PageResponse<BatchResponse>("list", page, page.FirstOrDefault()?.Id, page.LastOrDefault()?.Id, rows.Count > take));
    }

    private static Task<Ok<BatchResponse>> GetAsync(string id, TenantSession session, BatchStore batches, CancellationToken cancellationToken)
        => AnswerAsync(WireId.Batch(id) ?? throw NotFound(), session, batches, cancellationToken);

    private static async Task<Ok<BatchResponse>> CancelAsync(string id, TenantSession session, BatchStore batches, CancellationToken cancellationToken)
    {
        var batchId = WireId.Batch(id) ?? throw NotFound();
        await batches.CancelAsync(session, batchId, cancellationToken);
        var batch = await batches.FindAsync(session, batchId, cancellationToken) ?? throw NotFound();
        return batch.Row.State is BatchState.Cancelling or BatchState.Cancelled
            ? TypedResults.Ok(BatchResponse.Of(batch))
            : throw new WireException(409, "invalid_request_error", "batch_is_over", "The batch is done or about to be; there is nothing to cancel. GET it to see how it ended.", "id") { ShouldRetry = false };
    }

    private static async Task<Ok<BatchResponse>> AnswerAsync(Guid id, TenantSession session, BatchStore batches, CancellationToken cancellationToken)
        => TypedResults.Ok(BatchResponse.Of(await batches.FindAsync(session, id, cancellationToken) ?? throw NotFound()));

    private static WireException NotFound() => new(404, "invalid_request_error", "not_found", "You have no batch with this id.", "id");

    private static WireException Invalid(string field, string message) => WireException.BadRequest(message, field, "invalid_value");
}
