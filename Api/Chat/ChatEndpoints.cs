using System.IO.Pipelines;
using AiAspire.Api.Errors;
using AiAspire.Api.Identity;
using AiAspire.Core.Chat;
using AiAspire.Core.Data;
using AiAspire.Core.Wire;
using Microsoft.AspNetCore.Http.Features;

namespace AiAspire.Api.Chat;

internal static class ChatEndpoints
{
    private const string FeatureHeader = "X-AiAspire-Feature";
    private const string DefaultFeature = "chat";
    private const int MaxFeatureLength = 64;

    public static void MapChat(this IEndpointRouteBuilder v1)
        => v1.MapPost("/chat/completions", CompleteAsync)
            .Accepts<ChatCompletionRequest>("application/json")
            .Produces<ChatCompletion>()
            .Produces(StatusCodes.Status200OK, contentType: "text/event-stream")
            .Produces<ErrorBody>(StatusCodes.Status400BadRequest)
            .Produces<ErrorBody>(StatusCodes.Status404NotFound)
            .Produces<ErrorBody>(StatusCodes.Status429TooManyRequests)
            .WithName("createChatCompletion")
            .WithSummary("Create a chat completion, streamed or whole.")
            .WithTags("Chat");

    private static async Task CompleteAsync(HttpContext http, RequestCaller caller, ChatPipeline pipeline, TimeProvider time)
    {
        var started = (At: time.GetUtcNow(), Timestamp: time.GetTimestamp());
        var aborted = http.RequestAborted;
        using var request = ChatRequest.Parse(await RequestBody.ReadAsync(http.Request, aborted));
        var named = ConversationOf(http.Request);
        var call = new ChatCall
        {
            RequestId = RequestIds.Of(http),
            Caller = caller.Value,
            Request = request,
            Feature = FeatureOf(http.Request),
            ConversationId = named ?? time.NewId(),
            StartedAt = started.At,
            StartTimestamp = started.Timestamp,
        };
        await using var events = pipeline.RunAsync(call, aborted).GetAsyncEnumerator(aborted);
        bool any;
        try
        {
            any = await events.MoveNextAsync();
        }
        catch (WireException)
        {
            ChatHeaders.Write(http.Response, call, time);
            throw;
        }

        if (any && request.Stream)
            await StreamAsync(http, call, events, time);
        else if (any)
            await WriteWholeAsync(http, call, events, time);
    }

    private static async Task WriteWholeAsync(HttpContext http, ChatCall call, IAsyncEnumerator<ChatEvent> events, TimeProvider time)
    {
        var json = events.Current.Json;
        // The end of the enumeration is the settlement: only then is the cost known and the answer safe to give.
        while (await events.MoveNextAsync())
            json = events.Current.Json;
        ChatHeaders.Write(http.Response, call, time);
        http.Response.ContentType = "application/json";
        http.Response.ContentLength = json.Length;
        await http.Response.Body.WriteAsync(json, http.RequestAborted);
    }

    private static async Task StreamAsync(HttpContext http, ChatCall call, IAsyncEnumerator<ChatEvent> events, TimeProvider time)
    {
        ChatHeaders.Write(http.Response, call, time);
        http.Response.ContentType = "text/event-stream; charset=utf-8";
        http.Response.Headers.CacheControl = "no-cache";
        http.Response.Headers["X-Accel-Buffering"] = "no";
        http.Features.Get<IHttpResponseBodyFeature>()?.DisableBuffering();
        var writer = http.Response.BodyWriter;
        try
        {
            do
            {
                if (ChatSse.WriteEvent(writer, events.Current, call.Request.IncludeUsage))
                    await FlushAsync(writer, http.RequestAborted);
            }
            while (await events.MoveNextAsync());
            ChatSse.WriteDone(writer);
        }
        catch (Exception e) when (!http.RequestAborted.IsCancellationRequested && e is WireException or Npgsql.NpgsqlException)
        {
            // The status line is long gone: an error event and no [DONE] tell SDKs that the answer is not whole.
            ChatSse.WriteError(writer, e as WireException ?? new WireException(500, "server_error", "internal_error", "The answer could not be recorded."));
        }

        await FlushAsync(writer, http.RequestAborted);
    }

    private static async ValueTask FlushAsync(PipeWriter writer, CancellationToken aborted)
    {
        var result = await writer.FlushAsync(aborted);
        if (result.IsCompleted)
            aborted.ThrowIfCancellationRequested();
    }

    private static string FeatureOf(HttpRequest request)
    {
        var feature = request.Headers[FeatureHeader].ToString();
        if (feature.Length == 0)
            return DefaultFeature;
        return feature.Length <= MaxFeatureLength && feature.All(static c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.')
            ? feature
            : throw WireException.BadRequest($"{FeatureHeader} takes letters, digits, '-', '_' and '.', at most {MaxFeatureLength}.", FeatureHeader);
    }

    private static Guid? ConversationOf(HttpRequest request)
    {
        var header = request.Headers[ChatHeaders.Conversation].ToString();
        if (header.Length == 0)
            return null;
        return Guid.TryParse(header, out var id)
            ? id
            : throw WireException.BadRequest($"{ChatHeaders.Conversation} must be a conversation's id (a UUID).", ChatHeaders.Conversation);
    }
}
