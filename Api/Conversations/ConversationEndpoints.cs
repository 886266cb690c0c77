using System.Text.Json;
using AiAspire.Api.Errors;
using AiAspire.Api.Identity;
using AiAspire.Core.Conversations;
using AiAspire.Core.Data;
using AiAspire.Core.Encryption;
using AiAspire.Core.Wire;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.EntityFrameworkCore;

namespace AiAspire.Api.Conversations;

public sealed record ConversationResponse(Guid Id, string Object, string Feature, DateTimeOffset CreatedAt, DateTimeOffset LastMessageAt);

/// <param name="Content">The message as it stood on the wire.</param>
/// <param name="Model">The model version that wrote it.</param>
public sealed record MessageResponse(Guid Id, string Object, string Role, JsonElement Content, string? Model, Guid RequestId, DateTimeOffset CreatedAt);

/// <param name="HasMore">Ask again with <c>after</c> set to the last id.</param>
public sealed record ListResponse<T>(string Object, IReadOnlyList<T> Data, bool HasMore);

internal static class ConversationEndpoints
{
    private const int DefaultLimit = 20;
    private const int MaxLimit = 100;

    public static void MapConversations(this IEndpointRouteBuilder v1)
    {
        var conversations = v1.MapGroup("/conversations").WithTags("Conversations");
        conversations.MapGet("/", ListAsync).WithName("listConversations").WithSummary("Your conversations, newest first.");
        conversations.MapGet("/{id}/messages", MessagesAsync)
            .WithName("listMessages")
            .WithSummary("The messages of one of your conversations, oldest first.")
            .Produces<ErrorBody>(StatusCodes.Status404NotFound);
    }

    private static async Task<Ok<ListResponse<ConversationResponse>>> ListAsync(
        TenantSession session, int? limit, Guid? after, CancellationToken cancellationToken)
    {
        var take = Limit(limit);
        var rows = await session.RunAsync(
            (db, token) => db.Conversations.AsNoTracking()
                // Ids are UUIDv7: their order is the order of creation.
                .Where(c => after == null || c.ConversationId < after)
                .OrderByDescending(c => c.ConversationId)
                .Take(take + 1)
                .Select(c => new ConversationResponse(c.ConversationId, "conversation", c.Feature, c.CreatedAt, c.LastMessageAt))
                .ToListAsync(token),
            cancellationToken);
        return TypedResults.Ok(new ListResponse<ConversationResponse>("list", [.. rows.Take(take)], rows.Count > take));
    }

    private static async Task<Ok<ListResponse<MessageResponse>>> MessagesAsync(
        Guid id, RequestCaller caller, TenantSession session, UserKeys userKeys, int? limit, Guid? after, CancellationToken cancellationToken)
    {
        var take = Limit(limit);
        var rows = await session.RunAsync(
            async (db, token) => await db.Conversations.AnyAsync(c => c.ConversationId == id, token)
                ? await db.Messages.AsNoTracking()
                    .Where(m => m.ConversationId == id && (after == null || m.MessageId > after))
                    .OrderBy(m => m.MessageId)
                    .Take(take + 1)
                    .ToListAsync(token)
                : null,
            cancellationToken) ?? throw new WireException(404, "invalid_request_error", "not_found", "You have no conversation with this id.", "id");
        var cipher = await userKeys.GetAsync(caller.Value.TenantId, caller.Value.UserId, cancellationToken);
        return TypedResults.Ok(new ListResponse<MessageResponse>(
            "list",
            [.. rows.Take(take).Select(m => new MessageResponse(
                m.MessageId,
                "message",
                m.Role,
                JsonElement.Parse(cipher.Decrypt(m.Content, new ContentPlace("messages", "content", m.MessageId))),
                m.Model,
                m.RequestId,
                m.CreatedAt))],
            rows.Count > take));
    }

    private static int Limit(int? limit) => limit switch
    {
        null => DefaultLimit,
        >= 1 and <= MaxLimit => limit.Value,
        _ => throw WireException.BadRequest($"'limit' must be between 1 and {MaxLimit}.", "limit", "invalid_value"),
    };
}
