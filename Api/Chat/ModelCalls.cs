using AiAspire.Api.Identity;
using AiAspire.Core.Chat;
using AiAspire.Core.Data;
using AiAspire.Core.Encryption;
using AiAspire.Core.Idempotency;
using AiAspire.Core.Wire;

namespace AiAspire.Api.Chat;

/// <summary>Takes a request for a model through the pipeline, whatever its kind, and brings back the reply.</summary>
internal sealed class ModelCalls(RequestCaller caller, ChatPipeline pipeline, IdempotencyStore idempotency, UserKeys userKeys, TimeProvider time, ILogger<ModelCalls> logger)
{
    private const string FeatureHeader = "X-AiAspire-Feature";
    private const int MaxFeatureLength = 64;

    /// <param name="http">The request.</param>
    /// <param name="endpoint">Method and path: an <c>Idempotency-Key</c> is of one endpoint.</param>
    /// <param name="defaultFeature">The feature when the caller names none.</param>
    /// <param name="parse">Reads the body.</param>
    public async Task RunAsync(HttpContext http, string endpoint, string defaultFeature, Func<ReadOnlyMemory<byte>, ModelRequest> parse)
    {
        var started = (At: time.GetUtcNow(), Timestamp: time.GetTimestamp());
        var body = await RequestBody.ReadAsync(http.Request, http.RequestAborted);
        using var request = parse(body);
        var key = IdempotencyKey.Parse(http.Request.Headers[IdempotencyKey.Header]);
        var start = key is null
            ? default
            : await idempotency.BeginAsync(caller.Value, endpoint, key, body, RequestIds.Of(http), http.RequestAborted);
        if (start.Replay is { } stored)
        {
            await ChatDelivery.ReplayAsync(http, request, stored);
            return;
        }

        await using var claim = start.Claim;
        Guid? conversationId = request is ChatRequest ? ConversationOf(http.Request) ?? time.NewId() : null;
        var record = claim is null ? null : new RecordedReply(conversationId);
        var cipher = claim is null ? null : await userKeys.GetAsync(caller.Value.TenantId, caller.Value.UserId, http.RequestAborted);
        var call = new ChatCall
        {
            RequestId = RequestIds.Of(http),
            Caller = caller.Value,
            Request = request,
            Feature = FeatureOf(http.Request, defaultFeature),
            Cache = CacheOf(http.Request),
            ConversationId = conversationId,
            StartedAt = started.At,
            StartTimestamp = started.Timestamp,
            AlsoSettle = claim is null ? null : batch => claim.AddCompletion(batch, cipher!, record!.Bytes),
        };
        // Who sends a key wants the answer even after losing the connection: the call goes on, and the retry gets what it brought.
        // Without a key nobody will ask for it again, and the provider is told to stop at once.
        var running = claim is null ? http.RequestAborted : CancellationToken.None;
        var answered = false;
        try
        {
            answered = await ChatDelivery.DeliverAsync(http, call, pipeline.RunAsync(call, running), record, time, logger, running);
        }
        finally
        {
            // No effect, so a retry is the first request again.
            if (claim is not null && !answered)
                await claim.ReleaseAsync(CancellationToken.None);
        }
    }

    private static string FeatureOf(HttpRequest request, string defaultFeature)
    {
        var feature = request.Headers[FeatureHeader].ToString();
        if (feature.Length == 0)
            return defaultFeature;
        return feature.Length <= MaxFeatureLength && feature.All(static c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.')
            ? feature
            : throw WireException.BadRequest($"{FeatureHeader} takes letters, digits, '-', '_' and '.', at most {MaxFeatureLength}.", FeatureHeader);
    }

    private static CacheUse CacheOf(HttpRequest request) => request.Headers[ChatHeaders.CacheHeader].ToString() switch
    {
        "" => CacheUse.Default,
        "use" => CacheUse.Use,
        "no-store" => CacheUse.Off,
        _ => throw WireException.BadRequest($"{ChatHeaders.CacheHeader} takes 'use' or 'no-store'.", ChatHeaders.CacheHeader),
    };

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
