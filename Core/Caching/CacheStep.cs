using System.Runtime.CompilerServices;
using AiAspire.Core.Wire;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;
using StackExchange.Redis;

namespace AiAspire.Core.Caching;

/// <summary>
/// Answers a call with the reply to an equal one. Whole replies and streams share their entries. Of equal calls at the same moment, on
/// whatever replica, one goes to the provider and the others wait for its reply. Embeddings are kept item by item (<see cref="EmbeddingAnswers"/>).
/// </summary>
public sealed class CacheStep(ReplyCache cache, EmbeddingAnswers embeddings, CacheMetrics metrics, IOptions<CachingOptions> options) : IChatStep
{
    private readonly CachingOptions _options = options.Value;

    public IAsyncEnumerable<ChatEvent> InvokeAsync(ChatCall call, ChatNext next, CancellationToken cancellationToken)
        => !IsWanted(call) ? next(call, cancellationToken)
            : call.Request is EmbeddingRequest embedding ? embeddings.AnswerAsync(call, embedding, next, cancellationToken)
            : AnswerAsync(call, next, cancellationToken);

    private bool IsWanted(ChatCall call) => call.Cache switch
    {
        CacheUse.Use => true,
        CacheUse.Off => false,
        _ => _options.Features.Contains("*") || _options.Features.Contains(call.Feature, StringComparer.OrdinalIgnoreCase),
    };

    private async IAsyncEnumerable<ChatEvent> AnswerAsync(ChatCall call, ChatNext next, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var key = await cache.KeyAsync(call, cancellationToken);
        var kept = await cache.FindAsync(key);
        RedisValue? flight = null;
        if (kept is null)
        {
            flight = await cache.TakeFlightAsync(key);
            kept = flight switch
            {
                null => await cache.AwaitFlightAsync(key, cancellationToken),
                // Redis is away: it is not asked twice, each time until it times out.
                { IsNullOrEmpty: true } => null,
                // Whoever has the right to call may have it from one who kept his reply since the first look.
                _ => await cache.FindAsync(key),
            };
        }

        try
        {
            if (kept is not null)
            {
                metrics.Hit(call.Feature, kept.Cost);
                call.CacheHit = new CacheHit(kept.Provider, kept.Model);
                call.SavedCost = kept.Cost;
                foreach (var reply in Replay(call, kept))
                    yield return reply;
                yield break;
            }

            metrics.Miss(call.Feature);
            call.LookedIntoCache = true;
            var events = new List<ReadOnlyMemory<byte>>();
            var (bytes, cap) = (0, call.OutputCap);
            await foreach (var reply in next(call, cancellationToken))
            {
                bytes += reply.Json.Length;
                if (bytes <= _options.MaxReplyBytes)
                    events.Add(reply.Json);
                yield return reply;
            }

            // What a filter cut short may pass the next time, and what a limit cut short is longer once that frees; all else that came to its end is kept.
            var whole = call.Reply.HasItems || (call.Reply.FinishReason is not (null or "content_filter") && !(call.OutputCap < cap && MayBeCut(call)));
            if (bytes <= _options.MaxReplyBytes && call.Served is { Outcome: AttemptOutcome.Succeeded } served && whole)
                await cache.KeepAsync(key, served.Target.Target.Provider, served.Target.Target.Model.Id, served.Cost, call.Request.Stream ? ReplyFolding.Fold(events) : events[0]);
        }
        finally
        {
            if (flight is { } token)
                await cache.LandAsync(key, token);
        }
    }

    // Of several choices the end of the first alone is known.
    private static bool MayBeCut(ChatCall call) => call.Request.Choices > 1 || call.Reply.FinishReason == "length";

    private static IEnumerable<ChatEvent> Replay(ChatCall call, KeptReply kept)
    {
        ReadOnlyMemory<byte> completion = System.Runtime.InteropServices.JsonMarshal.GetRawUtf8Value(kept.Completion).ToArray();
        var events = call.Request.Stream ? ReplyFolding.Unfold(completion) : [new ChatEvent(ChatEventKind.Completion, completion)];
        call.Reply = call.Request.NewTally();
        foreach (var reply in events)
        {
            call.Reply.Read(reply.Json.Span, reply.Kind);
            yield return reply;
        }
    }
}

public static class CachingRegistration
{
    public static IServiceCollection AddCaching(this IServiceCollection services)
    {
        services.AddOptions<CachingOptions>()
            .BindConfiguration(CachingOptions.Section, binder => binder.ErrorOnUnknownConfiguration = true)
            .ValidateDataAnnotations()
            .ValidateOnStart();
        return services.AddSingleton<ReplyCache>().AddSingleton<EmbeddingCache>().AddSingleton<EmbeddingAnswers>().AddSingleton<CacheMetrics>().AddSingleton<CacheStep>();
    }
}
