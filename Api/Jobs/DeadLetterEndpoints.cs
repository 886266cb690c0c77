using System.Text.Json.Nodes;
using AiAspire.Api.Admin;
using AiAspire.Api.Conversations;
using AiAspire.Api.Errors;
using AiAspire.Api.Identity;
using AiAspire.Core.Audit;
using AiAspire.Core.Jobs;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Mvc;
using Microsoft.Extensions.Options;

namespace AiAspire.Api.Jobs;

/// <param name="Error">Why it was given up.</param>
public sealed record DeadLetterResponse(
    Guid Id, string Object, Guid UserId, string Kind, int Tries, ErrorDetail Error, DateTimeOffset CreatedAt, DateTimeOffset FailedAt);

/// <param name="Redriven">Jobs that are in the queue again.</param>
/// <param name="HasMore">Ask again for the rest.</param>
public sealed record RedriveResponse(string Object, int Redriven, bool HasMore);

/// <param name="OldestReadySeconds">How long the oldest ready job has waited: with the depth, the signal to scale workers by.</param>
public sealed record QueueResponse(string Object, long Queued, long Scheduled, long Running, long DeadLetters, double OldestReadySeconds);

internal static class DeadLetterEndpoints
{
    /// <summary>Moved in one transaction.</summary>
    private const int MostAtOnce = 1_000;

    public static void MapDeadLetters(this IEndpointRouteBuilder admin)
    {
        var jobs = admin.MapGroup("/jobs").RequireAuthorization(Policies.TenantAdmin).WithTags("Admin");
        jobs.MapGet("/queue", QueueAsync).WithName("retrieveJobQueue").WithSummary("How many jobs of a tenant wait, run and were given up.");
        jobs.MapGet("/dead-letters", ListAsync).WithName("listDeadLetters").WithSummary("Jobs of a tenant that were given up, newest first, without their content. Audited.");
        jobs.MapPost("/dead-letters/{id}/redrive", RedriveAsync).WithName("redriveDeadLetter").WithSummary("Queue a job that was given up anew. Audited.")
            .Produces<ErrorBody>(StatusCodes.Status404NotFound);
        jobs.MapPost("/dead-letters/redrive", RedriveAllAsync).WithName("redriveDeadLetters").WithSummary("Queue the jobs that were given up anew, up to 1,000 at a time, oldest first. Audited.");
    }

    private static async Task<Ok<QueueResponse>> QueueAsync([FromQuery(Name = Administration.TenantQuery)] Guid? tenantId, Administration administration, CancellationToken cancellationToken)
    {
        var queue = await administration.ReadAsync(administration.TenantOf(tenantId), DeadLetters.ReadQueueAsync, cancellationToken);
        return TypedResults.Ok(new QueueResponse("job_queue", queue.Queued, queue.Scheduled, queue.Running, queue.DeadLetters, queue.OldestReadySeconds));
    }

    private static async Task<Ok<ListResponse<DeadLetterResponse>>> ListAsync(
        HttpContext http, Administration administration, [FromQuery(Name = Administration.TenantQuery)] Guid? tenantId, int? limit, Guid? after, CancellationToken cancellationToken)
    {
        var take = Administration.Limit(limit);
        var rows = await administration.AuditedAsync(
            http, administration.TenantOf(tenantId),
            async (db, entry, token) => (await DeadLetters.ListAsync(db, after, take + 1, token), entry with { Action = AuditActions.DeadLettersRead, TargetKind = "job" }),
            cancellationToken);
        return TypedResults.Ok(new ListResponse<DeadLetterResponse>(
            "list",
            [.. rows.Take(take).Select(l => new DeadLetterResponse(
                l.JobId, "dead_letter", l.UserId, l.Kind, l.Tries, new ErrorDetail(l.ErrorMessage ?? "", "job_error", null, l.ErrorCode), l.CreatedAt, l.FinishedAt))],
            rows.Count > take));
    }

    private static async Task<Ok<RedriveResponse>> RedriveAsync(
        Guid id, HttpContext http, Administration administration, JobNotifier notifier, IOptions<JobOptions> options, [FromQuery(Name = Administration.TenantQuery)] Guid? tenantId, CancellationToken cancellationToken)
    {
        await MoveAsync(id, most: 1, http, administration, notifier, options.Value, tenantId, cancellationToken);
        return TypedResults.Ok(new RedriveResponse("redrive", 1, HasMore: false));
    }

    private static async Task<Ok<RedriveResponse>> RedriveAllAsync(
        HttpContext http, Administration administration, JobNotifier notifier, IOptions<JobOptions> options, [FromQuery(Name = Administration.TenantQuery)] Guid? tenantId, CancellationToken cancellationToken)
    {
        var moved = await MoveAsync(null, MostAtOnce, http, administration, notifier, options.Value, tenantId, cancellationToken);
        return TypedResults.Ok(new RedriveResponse("redrive", moved, HasMore: moved == MostAtOnce));
    }

    private static async Task<int> MoveAsync(
        Guid? id, int most, HttpContext http, Administration administration, JobNotifier notifier, JobOptions options, Guid? tenantId, CancellationToken cancellationToken)
    {
        var moved = await administration.AuditedAsync(
            http, administration.TenantOf(tenantId),
            async (db, entry, token) =>
            {
                var count = await DeadLetters.RedriveAsync(db, id, most, TimeSpan.FromHours(options.DeadlineHours), token);
                if (id is not null && count == 0)
                    throw Administration.NotFound("dead letter", "id");
                return (count, entry with { Action = AuditActions.JobsRedriven, TargetKind = "job", TargetId = id?.ToString(), Details = new JsonObject { ["count"] = count } });
            },
            cancellationToken);
        if (moved > 0)
            notifier.JobsWait();
        return moved;
    }
}
