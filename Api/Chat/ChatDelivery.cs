using System.IO.Pipelines;
using AiAspire.Core.Chat;
using AiAspire.Core.Wire;
using Microsoft.AspNetCore.Http.Features;
using Npgsql;

namespace AiAspire.Api.Chat;

/// <summary>Brings a reply to its caller: whole as JSON, or event by event; from the pipeline, or from the idempotency store.</summary>
internal static partial class ChatDelivery
{
    private const string ReplayedHeader = "Idempotent-Replayed";

    /// <param name="http">The request.</param>
    /// <param name="call">The call.</param>
    /// <param name="reply">The pipeline's events.</param>
    /// <param name="record">Takes each event, when the reply is to be replayed to a retry.</param>
    /// <param name="time">Clock.</param>
    /// <param name="logger">Told of what breaks off a stream through nobody's known fault.</param>
    /// <param name="running">Cancels the call itself; the caller's leaving only ends the writing when this is another token.</param>
    /// <returns>Whether the reply is whole and settled.</returns>
    public static async Task<bool> DeliverAsync(
        HttpContext http, ChatCall call, IAsyncEnumerable<ChatEvent> reply, RecordedReply? record, TimeProvider time, ILogger logger, CancellationToken running)
    {
        await using var events = reply.GetAsyncEnumerator(running);
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

        if (any && call.Request.Stream)
            return await StreamAsync(http, call, events, record, time, logger);
        if (any)
            await WriteWholeAsync(http, call, events, record, time);
        return any;
    }

    /// <summary>Gives a retry the answer of the request that did the work.</summary>
    public static async Task ReplayAsync(HttpContext http, ModelRequest request, ReadOnlyMemory<byte> stored)
    {
        var (conversationId, events) = RecordedReply.Read(stored);
        http.Response.Headers[ReplayedHeader] = "true";
        if (conversationId is { } conversation)
            http.Response.Headers[ChatHeaders.Conversation] = conversation.ToString();
        if (!request.Stream)
        {
            await WriteJsonAsync(http, events[^1].Json);
            return;
        }

        StartStream(http);
        foreach (var chatEvent in events)
            ChatSse.WriteEvent(http.Response.BodyWriter, chatEvent, request.IncludeUsage);
        ChatSse.WriteDone(http.Response.BodyWriter);
        await http.Response.BodyWriter.FlushAsync(http.RequestAborted);
    }

    private static async Task WriteWholeAsync(HttpContext http, ChatCall call, IAsyncEnumerator<ChatEvent> events, RecordedReply? record, TimeProvider time)
    {
        ReadOnlyMemory<byte> json;
        // The end of the enumeration is the settlement: only then is the cost known and the answer safe to give.
        do
        {
            json = events.Current.Json;
            record?.Add(events.Current);
        }
        while (await events.MoveNextAsync());
        ChatHeaders.Write(http.Response, call, time);
        await WriteJsonAsync(http, json);
    }

    private static async Task<bool> StreamAsync(
        HttpContext http, ChatCall call, IAsyncEnumerator<ChatEvent> events, RecordedReply? record, TimeProvider time, ILogger logger)
    {
        ChatHeaders.Write(http.Response, call, time);
        StartStream(http);
        var writer = http.Response.BodyWriter;
        var whole = false;
        try
        {
            do
            {
                record?.Add(events.Current);
                if (ChatSse.WriteEvent(writer, events.Current, call.Request.IncludeUsage))
                    await FlushAsync(http, writer);
            }
            while (await events.MoveNextAsync());
            ChatSse.WriteDone(writer);
            whole = true;
        }
        catch (Exception e) when (!http.RequestAborted.IsCancellationRequested)
        {
            // The status line is long gone: an error event and no [DONE] tell SDKs that the answer is not whole.
            ChatSse.WriteError(writer, e switch
            {
                WireException told => told,
                NpgsqlException => new WireException(500, "server_error", "internal_error", "The answer could not be recorded."),
                _ => new WireException(500, "server_error", "internal_error", "Something went wrong on our side; the answer is not whole."),
            });
            if (e is not WireException)
                LogBroken(logger, call.RequestId, e);
        }

        await FlushAsync(http, writer);
        return whole;
    }

    private static void StartStream(HttpContext http)
    {
        http.Response.ContentType = "text/event-stream; charset=utf-8";
        http.Response.Headers.CacheControl = "no-cache";
        http.Response.Headers["X-Accel-Buffering"] = "no";
        http.Features.Get<IHttpResponseBodyFeature>()?.DisableBuffering();
    }

    private static async Task WriteJsonAsync(HttpContext http, ReadOnlyMemory<byte> json)
    {
        http.Response.ContentType = "application/json";
        http.Response.ContentLength = json.Length;
        await http.Response.Body.WriteAsync(json, http.RequestAborted);
    }

    /// <summary>A caller who left is no reason to stop here: whether the call goes on is the pipeline's token to say.</summary>
    private static async ValueTask FlushAsync(HttpContext http, PipeWriter writer)
    {
        if (!http.RequestAborted.IsCancellationRequested)
            await writer.FlushAsync(CancellationToken.None);
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "The stream of request {RequestId} broke off")]
    private static partial void LogBroken(ILogger logger, Guid requestId, Exception exception);
}
