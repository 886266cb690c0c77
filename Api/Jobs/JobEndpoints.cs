using System.Text.Json;
using AiAspire.Api.Admin;
using AiAspire.Api.Conversations;
using AiAspire.Api.Errors;
using AiAspire.Api.Idempotency;
using AiAspire.Api.Identity;
using AiAspire.Core.Data;
using AiAspire.Core.Encryption;
using AiAspire.Core.Idempotency;
using AiAspire.Core.Jobs;
using AiAspire.Core.Tenancy;
using AiAspire.Core.Wire;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Mvc;

namespace AiAspire.Api.Jobs;

internal static class JobEndpoints
{
    private const int MaxTries = 25;
    private const decimal MaxCost = 1_000_000;

    public static void MapJobs(this IEndpointRouteBuilder v1)
    {
        var jobs = v1.MapGroup("/jobs").WithTags("Jobs");
        jobs.MapPost("/", CreateAsync).WithName("createJob").WithSummary("Queue a chat completion, or the embeddings of a set.")
            .Produces<ErrorBody>(StatusCodes.Status400BadRequest).Produces<ErrorBody>(StatusCodes.Status413PayloadTooLarge).ClaimsKeyItself();
        jobs.MapGet("/", ListAsync).WithName("listJobs").WithSummary("Your jobs, newest first, without their results.");
        jobs.MapGet("/{id}", GetAsync).WithName("retrieveJob").WithSummary("A job of yours, with its result.").Produces<ErrorBody>(StatusCodes.Status404NotFound);
        jobs.MapPost("/{id}/cancel", CancelAsync).WithName("cancelJob").WithSummary("Cancel a job of yours: at once when it waits, within seconds when it runs.")
            .Produces<ErrorBody>(StatusCodes.Status404NotFound);
        jobs.MapGet("/{id}/events", JobEventStream.FollowAsync).WithName("followJob")
            .WithSummary("Follow a job of yours: its states, and the tokens of a streamed request as they come. Reconnect with Last-Event-ID.")
            .Produces(StatusCodes.Status200OK, contentType: "text/event-stream").Produces<ErrorBody>(StatusCodes.Status404NotFound);
    }

    public static WireException NotFound() => new(404, "invalid_request_error", "not_found", "You have no job with this id.", "id");

    private static async Task<Accepted<JobResponse>> CreateAsync(
        JobRequest job, HttpContext http, RequestCaller caller, TenantSession session, JobQueue queue, JobReader reader, [FromServices] IEnumerable<IJobKind> kinds,
        IdempotencyStore idempotency, UserKeys userKeys, TimeProvider time, CancellationToken cancellationToken)
    {
        if (job.Request.ValueKind != JsonValueKind.Object)
            throw WireException.BadRequest($"'request' is missing: give it {KindOf(job, kinds).Takes}.", "request", "missing_required_parameter");
        var key = IdempotencyKey.Parse(http.Request.Headers[IdempotencyKey.Header]);
        if (key is null)
            return await AcceptedAsync((await queue.EnqueueAsync(session, Validate(job, caller.Value, kinds, time.GetUtcNow()), inTheSame: null, cancellationToken)).JobId);
        var start = await idempotency.BeginAsync(
            caller.Value, "POST /v1/jobs", key, JsonSerializer.SerializeToUtf8Bytes(job, JsonSerializerOptions.Web), RequestIds.Of(http), cancellationToken);
        if (start.Replay is { } stored)
        {
            http.Response.Headers["Idempotent-Replayed"] = "true";
            return await AcceptedAsync(new Guid(stored));
        }

        await using var claim = start.Claim!;
        try
        {
            // Not of a repeat: its job is there, though its deadline may have passed or its model gone since.
            var spec = Validate(job, caller.Value, kinds, time.GetUtcNow());
            var cipher = await userKeys.GetAsync(caller.Value.TenantId, caller.Value.UserId, cancellationToken);
            // Job and stored answer are one transaction: a retry finds both or neither.
            var queued = await queue.EnqueueAsync(session, spec, (batch, id) => claim.AddCompletion(batch, cipher, id.ToByteArray()), cancellationToken);
            return await AcceptedAsync(queued.JobId);
        }
        catch
        {
            await claim.ReleaseAsync(CancellationToken.None);
            throw;
        }

        async Task<Accepted<JobResponse>> AcceptedAsync(Guid id)
        {
            var view = await reader.FindStateAsync(id, cancellationToken)
                // Its tenant's retention has run: what it was is known, what became of it is not.
                ?? new JobView { JobId = id, Kind = job.Kind, State = JobState.Queued, Priority = PriorityOf(job), CreatedAt = TimeOrderedIds.TimeOf(id) };
            return TypedResults.Accepted($"/v1/jobs/{id}", JobResponse.Of(view, result: null));
        }
    }

    private static JobSpec Validate(JobRequest job, Caller caller, IEnumerable<IJobKind> kinds, DateTimeOffset now)
    {
        var kind = KindOf(job, kinds);
        if (job.Priority is < 0 or > JobSpec.MaxPriority)
            throw Invalid("priority", $"'priority' must be between 0 and {JobSpec.MaxPriority}; lower runs first.");
        if (job.MaxTries is < 1 or > MaxTries)
            throw Invalid("max_tries", $"'max_tries' must be between 1 and {MaxTries}.");
        if (job.MaxCostUsd is <= 0 or > MaxCost)
            throw Invalid("max_cost_usd", $"'max_cost_usd' must be above 0 and at most {MaxCost}.");
        if (job.UniqueKey is { } key && (key.Length is 0 or > JobSpec.MaxUniqueKeyLength || key.Any(char.IsControl)))
            throw Invalid("unique_key", $"'unique_key' takes 1 to {JobSpec.MaxUniqueKeyLength} characters, no control characters.");
        if (job.RunAt > now.AddDays(365))
            throw Invalid("run_at", "'run_at' may be at most a year ahead.");
        if (job.Deadline is { } deadline && deadline <= (job.RunAt > now ? job.RunAt : now))
            throw Invalid("deadline", "'deadline' must be in the future and after 'run_at'.");
        var payload = JsonSerializer.SerializeToUtf8Bytes(job.Request);
        // What would fail for certain is refused now, while its sender is still listening.
        kind.Check(payload, caller);
        return new JobSpec(job.Kind, payload)
        {
            Priority = PriorityOf(job),
            RunAt = job.RunAt,
            Deadline = job.Deadline,
            UniqueKey = job.UniqueKey,
            MaxTries = job.MaxTries,
            MaxCost = job.MaxCostUsd,
        };
    }

    private static IJobKind KindOf(JobRequest job, IEnumerable<IJobKind> kinds)
        => kinds.FirstOrDefault(k => k.Kind == job.Kind) ?? throw Invalid("kind", $"'{job.Kind}' is not a kind of job: use {string.Join(" or ", kinds.Select(k => k.Kind))}.");

    private static short PriorityOf(JobRequest job) => (short)(job.Priority ?? 5);

    private static async Task<Ok<ListResponse<JobResponse>>> ListAsync(
        JobReader reader, string? status, int? limit, Guid? after, CancellationToken cancellationToken)
    {
        var take = Administration.Limit(limit);
        var rows = await reader.ListAsync(StateOf(status), after, take + 1, cancellationToken);
        return TypedResults.Ok(new ListResponse<JobResponse>("list", [.. rows.Take(take).Select(j => JobResponse.Of(j, result: null))], rows.Count > take));
    }

    private static JobState? StateOf(string? status)
    {
        if (status is null)
            return null;
        foreach (var state in Enum.GetValues<JobState>().Where(s => s != JobState.Scheduled))
        {
            if (JobResponse.Word(state) == status)
                return state;
        }

        throw Invalid("status", $"'{status}' is no status of a job: use queued, running, succeeded, failed or cancelled.");
    }

    private static async Task<Ok<JobResponse>> GetAsync(Guid id, JobReader reader, CancellationToken cancellationToken)
        => TypedResults.Ok(await ResponseAsync(id, reader, cancellationToken));

    private static async Task<Ok<JobResponse>> CancelAsync(Guid id, TenantSession session, JobQueue queue, JobReader reader, CancellationToken cancellationToken)
        => await queue.CancelAsync(session, id, cancellationToken) switch
        {
            null => throw NotFound(),
            JobState.Succeeded or JobState.Failed => throw new WireException(
                409, "invalid_request_error", "job_is_over", "The job is over; there is nothing to cancel. GET it to see how it ended.", "id")
            { ShouldRetry = false },
            _ => TypedResults.Ok(await ResponseAsync(id, reader, cancellationToken)),
        };

    private static async Task<JobResponse> ResponseAsync(Guid id, JobReader reader, CancellationToken cancellationToken)
    {
        var job = await reader.FindAsync(id, cancellationToken) ?? throw NotFound();
        return JobResponse.Of(job, await reader.ReadResultAsync(job, cancellationToken));
    }

    private static WireException Invalid(string field, string message) => WireException.BadRequest(message, field, "invalid_value");
}
