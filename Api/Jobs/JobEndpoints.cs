using System.Text.Json;
using AiAspire.Api.Errors;
using AiAspire.Api.Idempotency;
using AiAspire.Api.Identity;
using AiAspire.Core.Chat;
using AiAspire.Core.Data;
using AiAspire.Core.Encryption;
using AiAspire.Core.Idempotency;
using AiAspire.Core.Jobs;
using AiAspire.Core.Models;
using AiAspire.Core.Tenancy;
using AiAspire.Core.Wire;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.EntityFrameworkCore;

namespace AiAspire.Api.Jobs;

/// <param name="Request">A chat completion request, without <c>stream</c>.</param>
/// <param name="Kind">What to run; <c>chat.completion</c>.</param>
public sealed record JobRequest(JsonElement Request, string Kind = ChatJob.JobKind);

/// <param name="Status"><c>queued</c>, <c>running</c>, <c>succeeded</c>, <c>failed</c> or <c>cancelled</c>.</param>
/// <param name="Result">The chat completion, once succeeded.</param>
/// <param name="Error">Why it failed, or why it waits.</param>
public sealed record JobResponse(
    Guid Id, string Object, string Kind, string Status, int Tries, DateTimeOffset CreatedAt, DateTimeOffset? StartedAt, DateTimeOffset? FinishedAt,
    JsonElement? Result, ErrorDetail? Error);

internal static class JobEndpoints
{
    public static void MapJobs(this IEndpointRouteBuilder v1)
    {
        var jobs = v1.MapGroup("/jobs").WithTags("Jobs");
        jobs.MapPost("/", CreateAsync).WithName("createJob").WithSummary("Queue a chat completion.").Produces<ErrorBody>(StatusCodes.Status400BadRequest).ClaimsKeyItself();
        jobs.MapGet("/{id:guid}", GetAsync).WithName("retrieveJob").WithSummary("A job of yours, with its result.").Produces<ErrorBody>(StatusCodes.Status404NotFound);
    }

    private static async Task<Accepted<JobResponse>> CreateAsync(
        JobRequest job, HttpContext http, RequestCaller caller, TenantSession session, JobQueue queue, ModelCatalog catalog,
        IdempotencyStore idempotency, UserKeys userKeys, CancellationToken cancellationToken)
    {
        var payload = Validate(job, caller.Value, catalog);
        var key = IdempotencyKey.Parse(http.Request.Headers[IdempotencyKey.Header]);
        if (key is null)
            return Accepted(await queue.EnqueueAsync(session, job.Kind, payload, inTheSame: null, cancellationToken), job.Kind);
        var start = await idempotency.BeginAsync(caller.Value, "POST /v1/jobs", key, payload, RequestIds.Of(http), cancellationToken);
        if (start.Replay is { } stored)
            return Accepted(new Guid(stored), job.Kind);
        await using var claim = start.Claim!;
        var cipher = await userKeys.GetAsync(caller.Value.TenantId, caller.Value.UserId, cancellationToken);
        try
        {
            // Job and stored answer are one transaction: a retry finds both or neither.
            return Accepted(
                await queue.EnqueueAsync(session, job.Kind, payload, (db, id, token) => claim.CompleteAsync(db, cipher, id.ToByteArray(), token), cancellationToken), job.Kind);
        }
        catch
        {
            await claim.ReleaseAsync(CancellationToken.None);
            throw;
        }
    }

    private static byte[] Validate(JobRequest job, Caller caller, ModelCatalog catalog)
    {
        if (job.Kind != ChatJob.JobKind)
            throw WireException.BadRequest($"'{job.Kind}' is not a kind of job: use {ChatJob.JobKind}.", "kind", "invalid_value");
        if (job.Request.ValueKind != JsonValueKind.Object)
            throw WireException.BadRequest("'request' is missing: give it a chat completion request.", "request", "missing_required_parameter");
        var payload = JsonSerializer.SerializeToUtf8Bytes(job.Request);
        // What would fail for certain is refused now, while its sender is still listening.
        using var request = ChatRequest.Parse(payload);
        if (request.Stream)
            throw WireException.BadRequest("A job cannot stream: its result is fetched when it is done.", "request.stream", "invalid_value");
        if (catalog.Route(request.Model).Count == 0 || !caller.Entitlements.AllowsModel(request.Model))
            throw WireException.ModelNotFound(request.Model);
        return payload;
    }

    private static Accepted<JobResponse> Accepted(Guid id, string kind)
        => TypedResults.Accepted($"/v1/jobs/{id}", new JobResponse(id, "job", kind, "queued", 0, TimeOrderedIds.TimeOf(id), null, null, null, null));

    private static async Task<Ok<JobResponse>> GetAsync(
        Guid id, RequestCaller caller, TenantSession session, UserKeys userKeys, CancellationToken cancellationToken)
    {
        var job = await session.RunAsync((db, token) => db.Jobs.AsNoTracking().SingleOrDefaultAsync(j => j.JobId == id, token), cancellationToken)
            ?? throw new WireException(404, "invalid_request_error", "not_found", "You have no job with this id.", "id");
        JsonElement? result = null;
        if (job.Result is { } encrypted)
        {
            var cipher = await userKeys.GetAsync(caller.Value.TenantId, caller.Value.UserId, cancellationToken);
            result = JsonElement.Parse(cipher.Decrypt(encrypted, ClaimedJob.ResultPlace(id)));
        }

        var error = job.ErrorCode is { } code ? new ErrorDetail(job.ErrorMessage ?? "The job waits to be tried again.", "job_error", null, code) : null;
        return TypedResults.Ok(new JobResponse(
            job.JobId, "job", job.Kind, job.State.ToString().ToLowerInvariant(), job.Tries, job.CreatedAt, job.StartedAt, job.FinishedAt, result, error));
    }
}
