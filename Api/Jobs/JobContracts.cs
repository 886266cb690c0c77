using System.Text.Json;
using System.Text.Json.Serialization;
using AiAspire.Api.Errors;
using AiAspire.Core.Chat;
using AiAspire.Core.Jobs;

namespace AiAspire.Api.Jobs;

/// <param name="Request">Of <c>chat.completion</c>: a chat completion request; with <c>stream</c> its tokens can be followed at <c>/v1/jobs/{id}/events</c>, and the result is whole either way.
/// Of <c>embeddings</c>: an embeddings request with <c>inputs</c> for <c>input</c>, up to 50,000 of them.</param>
/// <param name="Kind">What to run: <c>chat.completion</c> or <c>embeddings</c>.</param>
/// <param name="Priority">0 to 9, lower first among your tenant's own jobs. Default 5.</param>
/// <param name="RunAt">Not before this time.</param>
/// <param name="Deadline">After this it fails instead of running. Default: a day after it may start.</param>
/// <param name="UniqueKey">While a job of yours with this key waits or runs, no other is queued: that one is returned.</param>
/// <param name="MaxTries">Tries that may fail before it is given up, 1 to 25. Default 5.</param>
/// <param name="MaxCostUsd">A job that could cost more fails instead of running.</param>
[JsonUnmappedMemberHandling(JsonUnmappedMemberHandling.Disallow)]
public sealed record JobRequest(
    JsonElement Request, string Kind = ChatJob.JobKind, int? Priority = null, DateTimeOffset? RunAt = null, DateTimeOffset? Deadline = null,
    string? UniqueKey = null, int? MaxTries = null, decimal? MaxCostUsd = null);

/// <param name="Status"><c>queued</c>, <c>running</c>, <c>succeeded</c>, <c>failed</c> or <c>cancelled</c>.</param>
/// <param name="Tries">Starts so far.</param>
/// <param name="Progress">0 to 1, where the kind of job reports it.</param>
/// <param name="RunAt">When it may start, or start again.</param>
/// <param name="CostUsd">What it was charged.</param>
/// <param name="CancelRequested">Its worker has been told to stop.</param>
/// <param name="Result">The chat completion or the list of embeddings, once succeeded.</param>
/// <param name="Error">Why it failed, or why it waits.</param>
public sealed record JobResponse(
    Guid Id, string Object, string Kind, string Status, int Priority, int Tries, double? Progress, DateTimeOffset CreatedAt, DateTimeOffset? RunAt,
    DateTimeOffset? Deadline, DateTimeOffset? StartedAt, DateTimeOffset? FinishedAt, decimal CostUsd, decimal? MaxCostUsd, bool CancelRequested,
    JsonElement? Result, ErrorDetail? Error)
{
    internal static JobResponse Of(JobView job, JsonElement? result) => new(
        job.JobId, "job", job.Kind, Word(job.State), job.Priority, job.Tries, job.Progress, job.CreatedAt, job.RunAt, job.Deadline, job.StartedAt, job.FinishedAt,
        job.Cost, job.MaxCost, job.CancelRequested, result,
        job.ErrorCode is { } code ? new ErrorDetail(job.ErrorMessage ?? "The job waits to be tried again.", "job_error", null, code) : null);

    /// <summary>Whether its time has come is told by <c>run_at</c>.</summary>
    internal static string Word(JobState state) => (state == JobState.Scheduled ? JobState.Queued : state).ToString().ToLowerInvariant();
}
