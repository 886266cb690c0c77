using AiAspire.Api.Errors;
using AiAspire.Api.Idempotency;
using AiAspire.Core.Wire;

namespace AiAspire.Api.Chat;

internal static class ChatEndpoints
{
    private const string DefaultFeature = "chat";

    public static void MapChat(this IEndpointRouteBuilder v1)
        => v1.MapPost("/chat/completions", CompleteAsync)
            .Accepts<ChatCompletionRequest>("application/json")
            .Produces<ChatCompletion>(StatusCodes.Status200OK, "application/json", "text/event-stream")
            .Produces<ErrorBody>(StatusCodes.Status400BadRequest)
            .Produces<ErrorBody>(StatusCodes.Status404NotFound)
            .Produces<ErrorBody>(StatusCodes.Status429TooManyRequests)
            .WithName("createChatCompletion")
            .WithSummary("Create a chat completion, streamed or whole.")
            .ClaimsKeyItself()
            .WithTags("Chat");

    private static Task CompleteAsync(HttpContext http, ModelCalls calls)
        => calls.RunAsync(http, "POST /v1/chat/completions", DefaultFeature, ChatRequest.Parse);
}
