using System.Text.Json;
using AiAspire.Api.Conversations;
using AiAspire.Api.Errors;
using AiAspire.Api.Identity;
using AiAspire.Core.Audit;
using AiAspire.Core.Conversations;
using AiAspire.Core.Data;
using AiAspire.Core.Schedules;
using Microsoft.AspNetCore.Http.HttpResults;

namespace AiAspire.Api.Admin;

/// <param name="Cron">A Quartz cron expression with seconds, in UTC.</param>
/// <param name="NextRunAt">Null: never again.</param>
/// <param name="LastRun">The last that began, over or not; null when there was none.</param>
public sealed record ScheduleResponse(string Name, string Object, string Cron, DateTimeOffset? NextRunAt, ScheduleRunResponse? LastRun);

/// <param name="Trigger"><c>schedule</c>, <c>manual</c>, or <c>recovery</c> after a process died with the run before.</param>
/// <param name="Status"><c>requested</c>, <c>queued</c>, <c>running</c>, <c>succeeded</c>, <c>failed</c>, or <c>lost</c> with its process.</param>
/// <param name="DueAt">The firing that it is the run of; later than its time when it was missed. Null for <c>manual</c>.</param>
/// <param name="Worker">The process.</param>
/// <param name="Report">What it did.</param>
public sealed record ScheduleRunResponse(
    Guid Id, string Object, string Schedule, string Trigger, string Status, DateTimeOffset? DueAt, string? Worker, DateTimeOffset? StartedAt, DateTimeOffset? FinishedAt,
    long? DurationMs, string? Error, JsonElement? Report);

/// <param name="Conversations">Conversations that the next run deletes.</param>
/// <param name="Jobs">Finished jobs that are deleted with their results.</param>
/// <param name="Files">Files that are deleted.</param>
/// <param name="Batches">Batches that are deleted; their files have times of their own.</param>
public sealed record ExpiredResponse(Guid TenantId, string Object, int RetentionDays, long Conversations, long Jobs, long JobEvents, long JobParts, long Files, long Batches);

internal static class ScheduleEndpoints
{
    public static void MapSchedules(this IEndpointRouteBuilder admin)
    {
        var schedules = admin.MapGroup("/schedules").RequireAuthorization(Policies.Operator).WithTags("Admin");
        schedules.MapGet("/", ListAsync).WithName("listSchedules").WithSummary("What the workers do by schedule: when next, and how the last run went.");
        schedules.MapGet("/{name}/runs", ListRunsAsync).WithName("listScheduleRuns").WithSummary("The last runs of a schedule, newest first; a hundred are kept.")
            .Produces<ErrorBody>(StatusCodes.Status404NotFound);
        schedules.MapPost("/{name}/run", RunAsync).WithName("runSchedule")
            .WithSummary("Run a schedule now, once, on one of the workers. As long as that run has not begun, asking again answers with the same. Audited.")
            .Produces<ErrorBody>(StatusCodes.Status404NotFound);
        admin.MapGet("/retention/expired", ExpiredAsync).RequireAuthorization(Policies.Operator).WithTags("Admin")
            .WithName("listExpired").WithSummary("A dry run of retention: what is past it, by tenant. Nothing is deleted.");
    }

    private static async Task<Ok<ListResponse<ScheduleResponse>>> ListAsync(ScheduleBook book, CancellationToken cancellationToken)
        => TypedResults.Ok(new ListResponse<ScheduleResponse>(
            "list",
            [.. (await book.ListAsync(cancellationToken)).Select(s => new ScheduleResponse(s.Schedule.Name, "schedule", s.Schedule.Cron, s.Schedule.NextRunAt, s.LastRun is null ? null : Response(s.LastRun)))],
            HasMore: false));

    private static async Task<Ok<ListResponse<ScheduleRunResponse>>> ListRunsAsync(string name, int? limit, ScheduleBook book, CancellationToken cancellationToken)
    {
        var take = Administration.Limit(limit);
        var runs = await book.ListRunsAsync(name, take + 1, cancellationToken) ?? throw Administration.NotFound("schedule", "name");
        return TypedResults.Ok(new ListResponse<ScheduleRunResponse>("list", [.. runs.Take(take).Select(Response)], runs.Count > take));
    }

    private static async Task<Accepted<ScheduleRunResponse>> RunAsync(
        string name, HttpContext http, RequestCaller caller, ScheduleBook book, TimeProvider time, CancellationToken cancellationToken)
    {
        var entry = caller.Value.Audit(http, time, AuditActions.ScheduleRunRequested, TenantScope.PlatformTenantId) with { TargetKind = "schedule", TargetId = name };
        var run = await book.RequestAsync(name, entry, cancellationToken) ?? throw Administration.NotFound("schedule", "name");
        return TypedResults.Accepted($"/v1/admin/schedules/{Uri.EscapeDataString(name)}/runs", Response(run));
    }

    private static async Task<Ok<ListResponse<ExpiredResponse>>> ExpiredAsync(Retention retention, CancellationToken cancellationToken)
        => TypedResults.Ok(new ListResponse<ExpiredResponse>(
            "list",
            [.. (await retention.CountExpiredAsync(cancellationToken)).Select(e => new ExpiredResponse(e.TenantId, "expired", e.RetentionDays, e.Conversations, e.Jobs, e.JobEvents, e.JobParts, e.Files, e.Batches))],
            HasMore: false));

    private static ScheduleRunResponse Response(ScheduleRun run) => new(
        run.RunId, "schedule_run", run.Schedule, AdminFields.Word(run.Trigger), AdminFields.Word(run.State), run.DueAt, run.Worker, run.StartedAt, run.FinishedAt,
        run is { StartedAt: { } started, FinishedAt: { } finished } ? (long)(finished - started).TotalMilliseconds : null,
        run.Error, run.Report is null ? null : JsonElement.Parse(run.Report));
}
