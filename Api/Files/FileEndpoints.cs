using System.Text.Json.Nodes;
using AiAspire.Api.Edge;
using AiAspire.Api.Errors;
using AiAspire.Api.Idempotency;
using AiAspire.Api.Identity;
using AiAspire.Core.Audit;
using AiAspire.Core.Batches;
using AiAspire.Core.Data;
using AiAspire.Core.Encryption;
using AiAspire.Core.Files;
using AiAspire.Core.Idempotency;
using AiAspire.Core.Wire;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Options;
using Microsoft.Net.Http.Headers;
using Npgsql;

namespace AiAspire.Api.Files;

internal static class FileEndpoints
{
    /// <summary>OpenAI's own limit, and what it lists when none is named.</summary>
    private const int MaxLimit = 10_000;

    /// <summary>The form around the content.</summary>
    private const int FormBytes = 64 * 1024;

    public static void MapFiles(this IEndpointRouteBuilder v1)
    {
        var limit = v1.ServiceProvider.GetRequiredService<IOptions<FileStorageOptions>>().Value.MaxBytes;
        var files = v1.MapGroup("/files").WithTags("Files");
        files.MapPost("/", UploadAsync).WithName("createFile").WithSummary("Upload the requests of a batch.")
            .Accepts<UploadFileRequest>("multipart/form-data")
            .WithMetadata(new BodyLimit(limit + FormBytes, FileWriter.TooLarge(limit)))
            .Produces<ErrorBody>(StatusCodes.Status400BadRequest).Produces<ErrorBody>(StatusCodes.Status413PayloadTooLarge).ClaimsKeyItself();
        files.MapGet("/", ListAsync).WithName("listFiles").WithSummary("Your files, newest first.");
        files.MapGet("/{id}", GetAsync).WithName("retrieveFile").WithSummary("A file of yours, without its content.").Produces<ErrorBody>(StatusCodes.Status404NotFound);
        files.MapDelete("/{id}", DeleteAsync).WithName("deleteFile").WithSummary("Delete a file of yours. Audited.")
            .Produces<ErrorBody>(StatusCodes.Status404NotFound).Produces<ErrorBody>(StatusCodes.Status409Conflict);
        files.MapGet("/{id}/content", DownloadAsync).WithName("downloadFile").WithSummary("The content of a file of yours.")
            .Produces(StatusCodes.Status200OK, contentType: "application/octet-stream").Produces<ErrorBody>(StatusCodes.Status404NotFound);
    }

    public static WireException NotFound(string param = "id") => new(404, "invalid_request_error", "not_found", "You have no file with this id.", param);

    private static async Task<Ok<FileResponse>> UploadAsync(
        HttpContext http, RequestCaller caller, TenantSession session, FileStore files, IOptions<FileStorageOptions> options, IdempotencyStore idempotency, UserKeys userKeys,
        CancellationToken cancellationToken)
    {
        var key = IdempotencyKey.Parse(http.Request.Headers[IdempotencyKey.Header]);
        var received = await new FileForm(files, options).ReadAsync(http.Request, session, cancellationToken);
        IdempotencyClaim? claim = null;
        try
        {
            // Only what was sent tells whether it is a repeat, so the key is claimed when all of it is there; what then is not needed goes again.
            var start = key is null ? default : await idempotency.BeginAsync(caller.Value, "POST /v1/files", key, received.Digest, RequestIds.Of(http), cancellationToken);
            claim = start.Claim;
            var id = start.Replay is { } stored ? new Guid(stored) : received.Writer.FileId;
            if (start.Replay is not null)
            {
                await received.Writer.DiscardAsync(CancellationToken.None);
                http.Response.Headers["Idempotent-Replayed"] = "true";
            }
            else
            {
                var seal = new TenantBatch();
                received.Writer.AddSeal(seal, received.KeptFor, options.Value.MaxUserBytes);
                claim?.AddCompletion(seal, await userKeys.GetAsync(caller.Value.TenantId, caller.Value.UserId, cancellationToken), id.ToByteArray());
                try
                {
                    await session.ExecuteAsync(seal, cancellationToken);
                }
                catch (PostgresException e) when (FileWriter.IsStorageFull(e))
                {
                    throw FileWriter.StorageFull(options.Value.MaxUserBytes);
                }
            }

            return TypedResults.Ok(FileResponse.Of(await files.FindAsync(session, id, cancellationToken) ?? throw NotFound()));
        }
        catch
        {
            // Neither does anything once it is a file.
            await received.Writer.DiscardAsync(CancellationToken.None);
            if (claim is not null)
                await claim.ReleaseAsync(CancellationToken.None);
            throw;
        }
        finally
        {
            if (claim is not null)
                await claim.DisposeAsync();
        }
    }

    private static async Task<Ok<PageResponse<FileResponse>>> ListAsync(
        TenantSession session, FileStore files, string? purpose, int? limit, string? order, string? after, CancellationToken cancellationToken)
    {
        if (purpose is not null && !FilePurposes.All.Contains(purpose, StringComparer.Ordinal))
            throw WireException.BadRequest($"'{purpose}' is no purpose of files: use {string.Join(" or ", FilePurposes.All)}.", "purpose", "invalid_value");
        if (order is not (null or "asc" or "desc"))
            throw WireException.BadRequest("'order' must be asc or desc.", "order", "invalid_value");
        if (limit is < 1 or > MaxLimit)
            throw WireException.BadRequest($"'limit' must be between 1 and {MaxLimit}.", "limit", "invalid_value");
        Guid? cursor = after is null ? null : WireId.File(after) ?? throw WireException.BadRequest("'after' must be the id of a file.", "after", "invalid_value");
        var take = limit ?? MaxLimit;
        var rows = await files.ListAsync(session, purpose, cursor, oldestFirst: order == "asc", take + 1, cancellationToken);
        List<FileResponse> page = [.. rows.Take(take).Select(FileResponse.Of)];
        return TypedResults.Ok(new PageResponse<FileResponse>("list", page, page.FirstOrDefault()?.Id, page.LastOrDefault()?.Id, rows.Count > take));
    }

    private static async Task<Ok<FileResponse>> GetAsync(string id, TenantSession session, FileStore files, CancellationToken cancellationToken)
        => TypedResults.Ok(FileResponse.Of(await FindAsync(id, session, files, cancellationToken)));

    private static async Task<Ok<DeletedFileResponse>> DeleteAsync(
        string id, HttpContext http, RequestCaller caller, TenantSession session, TimeProvider time, CancellationToken cancellationToken)
    {
        var (fileId, userId) = (WireId.File(id) ?? throw NotFound(), caller.Value.UserId);
        var entry = caller.Value.Audit(http, time, AuditActions.FileDeleted, caller.Value.TenantId) with { TargetKind = "file", TargetId = WireId.OfFile(fileId) };
        await session.RunAsync(
            async (db, token) =>
            {
                if (await BatchStore.UsesAsync(db, userId, fileId, token))
                {
                    throw new WireException(409, "invalid_request_error", "file_in_use", "A batch that is not over reads this file. Cancel the batch, or wait for its end.", "id")
                    { ShouldRetry = false };
                }

                var file = await db.Files.Where(f => f.UserId == userId && f.FileId == fileId && f.IsReady).Select(f => new { f.Purpose, f.Bytes }).SingleOrDefaultAsync(token) ?? throw NotFound();
                await db.Files.Where(f => f.UserId == userId && f.FileId == fileId).ExecuteDeleteAsync(token);
                await db.AppendAuditAsync(entry with { Details = new JsonObject { ["purpose"] = file.Purpose, ["bytes"] = file.Bytes } }, token);
            },
            cancellationToken);
        return TypedResults.Ok(new DeletedFileResponse(WireId.OfFile(fileId), "file", true));
    }

    private static async Task DownloadAsync(string id, HttpContext http, TenantSession session, FileStore files, CancellationToken cancellationToken)
    {
        var file = await FindAsync(id, session, files, cancellationToken);
        var response = http.Response;
        response.ContentType = "application/octet-stream";
        response.ContentLength = file.Bytes;
        var disposition = new ContentDispositionHeaderValue("attachment");
        disposition.SetHttpFileName(file.Name);
        response.Headers.ContentDisposition = disposition.ToString();
        await foreach (var piece in files.ReadAsync(session, file.FileId, 0, file.Bytes, cancellationToken))
            await response.Body.WriteAsync(piece, cancellationToken);
    }

    private static async Task<FileView> FindAsync(string id, TenantSession session, FileStore files, CancellationToken cancellationToken)
        => WireId.File(id) is { } fileId ? await files.FindAsync(session, fileId, cancellationToken) ?? throw NotFound() : throw NotFound();
}
