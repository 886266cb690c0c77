using System.Text;
using System.Text.Json.Serialization;
using AiAspire.Api.Errors;
using AiAspire.Api.Idempotency;
using AiAspire.Api.Identity;
using AiAspire.Core.Conversations;
using AiAspire.Core.Data;
using AiAspire.Core.Encryption;
using AiAspire.Core.Ledger;
using AiAspire.Core.Wire;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.EntityFrameworkCore;
using FeedbackRow = AiAspire.Core.Conversations.Feedback;

namespace AiAspire.Api.Feedback;

/// <param name="RequestId">The <c>x-request-id</c> of the answer.</param>
/// <param name="Rating">1 (poor) to 5 (good).</param>
/// <param name="Comment">At most 4,000 characters.</param>
[JsonUnmappedMemberHandling(JsonUnmappedMemberHandling.Disallow)]
public sealed record FeedbackRequest([property: JsonRequired] Guid RequestId, [property: JsonRequired] int Rating, string? Comment = null);

public sealed record FeedbackResponse(Guid Id, Guid RequestId, int Rating, DateTimeOffset CreatedAt);

internal static class FeedbackEndpoints
{
    private const int MaxComment = 4_000;

    public static void MapFeedback(this IEndpointRouteBuilder v1)
        => v1.MapPost("/feedback", CreateAsync)
            .WithName("createFeedback")
            .WithSummary("Rate one of your answers; rating it again replaces the rating.")
            .Produces<ErrorBody>(StatusCodes.Status400BadRequest)
            .Produces<ErrorBody>(StatusCodes.Status404NotFound)
            .OncePerKey()
            .WithTags("Feedback");

    private static async Task<Created<FeedbackResponse>> CreateAsync(
        FeedbackRequest request, RequestCaller caller, TenantSession session, UserKeys userKeys, RequestClaim claim, TimeProvider time, CancellationToken cancellationToken)
    {
        if (request.Rating is < 1 or > 5)
            throw WireException.BadRequest("'rating' must be between 1 and 5.", "rating", "invalid_value");
        if (request.Comment?.Length > MaxComment)
            throw WireException.BadRequest($"'comment' is longer than {MaxComment} characters.", "comment", "invalid_value");
        var (id, now) = (time.NewId(), time.GetUtcNow());
        var cipher = await userKeys.GetAsync(caller.Value.TenantId, caller.Value.UserId, cancellationToken);
        var row = await session.RunAsync(
            async (db, token) =>
            {
                var mine = await db.LedgerRequests.AnyAsync(r => r.RequestId == request.RequestId && r.UserPseudonym == caller.Value.Pseudonym, token);
                if (!mine)
                    return null;
                await db.Feedback.Where(f => f.RequestId == request.RequestId).ExecuteDeleteAsync(token);
                var feedback = new FeedbackRow
                {
                    TenantId = caller.Value.TenantId,
                    UserId = caller.Value.UserId,
                    FeedbackId = id,
                    RequestId = request.RequestId,
                    Rating = request.Rating,
                    Comment = request.Comment is { Length: > 0 } comment
                        ? cipher.Encrypt(Encoding.UTF8.GetBytes(comment), new ContentPlace("feedback", "comment", id))
                        : null,
                    CreatedAt = now,
                };
                db.Feedback.Add(feedback);
                await db.SaveChangesAsync(token);
                await claim.CompleteAsync(db, StatusCodes.Status201Created, location: null, Response(feedback), token);
                return feedback;
            },
            cancellationToken) ?? throw new WireException(404, "invalid_request_error", "not_found", "You have no request with this id.", "request_id");
        return TypedResults.Created((string?)null, Response(row));
    }

    private static FeedbackResponse Response(FeedbackRow row) => new(row.FeedbackId, row.RequestId, row.Rating, row.CreatedAt);
}
