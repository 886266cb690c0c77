using System.ComponentModel;
using System.Text.Json.Serialization;
using AiAspire.Api.Files;
using AiAspire.Core.Batches;

namespace AiAspire.Api.Batches;

[JsonUnmappedMemberHandling(JsonUnmappedMemberHandling.Disallow)]
public sealed record CreateBatchRequest(
    [property: Description("An uploaded file of the purpose `batch`: on each line `{\"custom_id\",\"method\":\"POST\",\"url\",\"body\"}`.")] string? InputFileId,
    [property: Description("`/v1/chat/completions`, `/v1/embeddings` or `/v1/moderations`: the `url` of every line.")] string? Endpoint,
    [property: Description("`24h`.")] string? CompletionWindow,
    [property: Description("Up to 16 texts of yours: names of up to 64 characters, values of up to 512.")] Dictionary<string, string>? Metadata = null,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    [property: Description("How long the output and error files are kept; left out: 30 days, or as long as your tenant keeps conversations.")] OutputExpiresAfter? OutputExpiresAfter = null);

[JsonUnmappedMemberHandling(JsonUnmappedMemberHandling.Disallow)]
public sealed record OutputExpiresAfter(
    [property: Description("`created_at`, of the file.")] string? Anchor,
    [property: Description("An hour to 30 days.")] long? Seconds);

/// <summary>OpenAI's batch object. Times are Unix seconds, null until they come.</summary>
/// <param name="Errors">Why it failed as a whole; null when it did not. What single requests came to is in the error file.</param>
/// <param name="Status"><c>validating</c>, <c>failed</c>, <c>in_progress</c>, <c>finalizing</c>, <c>completed</c>, <c>expired</c>, <c>cancelling</c> or <c>cancelled</c>.</param>
/// <param name="OutputFileId">The answers; null when there are none.</param>
/// <param name="ErrorFileId">The requests that came to no answer, each with its reason; null when there are none.</param>
public sealed record BatchResponse(
    string Id, string Object, string Endpoint, BatchErrors? Errors, string InputFileId, string CompletionWindow, string Status, string? OutputFileId, string? ErrorFileId,
    long CreatedAt, long? InProgressAt, long ExpiresAt, long? FinalizingAt, long? CompletedAt, long? FailedAt, long? ExpiredAt, long? CancellingAt, long? CancelledAt,
    BatchCounts RequestCounts, IReadOnlyDictionary<string, string>? Metadata)
{
    internal static BatchResponse Of(BatchView view)
    {
        var batch = view.Row;
        return new BatchResponse(
            WireId.OfBatch(batch.BatchId), "batch", batch.Endpoint, view.Errors.Count == 0 ? null : new BatchErrors("list", [.. view.Errors.Select(e => new BatchError(e.Code, e.Line, e.Message, e.Param))]),
            WireId.OfFile(batch.InputFileId), BatchEndpoints.Window, Word(batch.State), FileOf(batch.OutputFileId), FileOf(batch.ErrorFileId),
            batch.CreatedAt.ToUnixTimeSeconds(), Seconds(batch.InProgressAt), batch.ExpiresAt.ToUnixTimeSeconds(), Seconds(batch.FinalizingAt),
            Ended(BatchState.Completed), Ended(BatchState.Failed), Ended(BatchState.Expired), Seconds(batch.CancellingAt), Ended(BatchState.Cancelled),
            new BatchCounts(batch.Total ?? 0, view.Completed, view.Failed), view.Metadata);

        long? Ended(BatchState state) => batch.State == state ? Seconds(batch.FinishedAt) : null;
    }

    private static string? FileOf(Guid? file) => file is { } id ? WireId.OfFile(id) : null;

    private static long? Seconds(DateTimeOffset? time) => time?.ToUnixTimeSeconds();

    private static string Word(BatchState state) => state == BatchState.InProgress ? "in_progress" : state.ToString().ToLowerInvariant();
}

public sealed record BatchErrors(string Object, IReadOnlyList<BatchError> Data);

/// <param name="Line">The line of the file, from 1.</param>
/// <param name="Param">The field at fault.</param>
public sealed record BatchError(string Code, int? Line, string Message, string? Param);

public sealed record BatchCounts(int Total, int Completed, int Failed);
