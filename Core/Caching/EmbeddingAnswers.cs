using System.Runtime.CompilerServices;
using AiAspire.Core.Models;
using AiAspire.Core.Wire;

namespace AiAspire.Core.Caching;

/// <summary>
/// Answers a request for embeddings with the vectors that are kept, and asks the provider for the others alone, each once. The reply has
/// them all in the order of the input; its usage, like the charge, is that of what was sent.
/// </summary>
public sealed class EmbeddingAnswers(EmbeddingCache cache, CacheMetrics metrics, TimeProvider time)
{
    public async IAsyncEnumerable<ChatEvent> AnswerAsync(ChatCall call, EmbeddingRequest request, ChatNext next, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var items = await cache.ItemsAsync(call, request, cancellationToken);
        var vectors = new KeptVector?[items.Items.Count];
        await cache.FindAsync(items, vectors);
        var token = $"{time.GetTimestamp()}-{Environment.ProcessId}-{call.RequestId:N}";
        var flights = new List<Guid>();
        try
        {
            if (vectors.Contains(null))
                await cache.TakeFlightsAsync(items, vectors, token, flights, cancellationToken);
            yield return await CompleteAsync(call, request, items, vectors, next, cancellationToken);
        }
        finally
        {
            if (flights.Count > 0)
                await cache.LandAsync(items.TenantId, flights, token);
        }
    }

    private async Task<ChatEvent> CompleteAsync(
        ChatCall call, EmbeddingRequest request, EmbeddingItems items, KeptVector?[] vectors, ChatNext next, CancellationToken cancellationToken)
    {
        int[] missing = [.. Enumerable.Range(0, vectors.Length).Where(i => vectors[i] is null)];
        var saved = vectors.Sum(static v => v?.Cost ?? 0);
        var cached = request.Items - missing.Sum(i => items.Items[i].Places.Count);
        metrics.Embedded(call.Feature, cached, request.Items - cached, saved);
        (call.SavedCost, call.CachedItems) = (saved, (cached, request.Items));
        if (missing.Length == 0)
        {
            call.CacheHit = new CacheHit(vectors[0]!.Provider, vectors[0]!.Model);
            return Event(request, items, vectors!, vectors[0]!.ReplyModel, tokens: 0);
        }

        call.LookedIntoCache = true;
        // The provider's own reply, byte for byte, when it is of the whole request.
        if (missing.Length == request.Items)
        {
            var whole = await SendAsync(call, next, cancellationToken);
            if (EmbeddingReply.Read(whole.Json, request.Items) is { } all)
                await KeepAsync(call, request, items, missing, all, vectors);
            return whole;
        }

        using var rest = request.Only([.. missing.Select(i => items.Items[i].Places[0])]);
        var estimated = call.EstimatedInput;
        ChatEvent reply;
        try
        {
            (call.Request, call.EstimatedInput) = (rest, rest.EstimateInput());
            reply = await SendAsync(call, next, cancellationToken);
        }
        finally
        {
            (call.Request, call.EstimatedInput) = (request, estimated);
        }

        var made = EmbeddingReply.Read(reply.Json, missing.Length)
            ?? throw new WireException(502, "server_error", "malformed_reply", "The provider's vectors could not be read.");
        await KeepAsync(call, request, items, missing, made, vectors);
        return Event(request, items, vectors!, made.Model, call.Served?.Usage.TotalInput ?? 0);
    }

    /// <summary>Embeddings are not streamed: their reply is one event.</summary>
    private static async Task<ChatEvent> SendAsync(ChatCall call, ChatNext next, CancellationToken cancellationToken)
    {
        ChatEvent? whole = null;
        await foreach (var reply in next(call, cancellationToken))
            whole = reply;
        return whole ?? throw new InvalidOperationException("The pipeline ended without a reply.");
    }

    private async Task KeepAsync(
        ChatCall call, EmbeddingRequest request, EmbeddingItems items, int[] missing, (string Model, byte[][] Vectors) made, KeptVector?[] vectors)
    {
        if (call.Served is not { Outcome: AttemptOutcome.Succeeded } served)
            throw new InvalidOperationException("A reply came, and nobody served it.");
        var each = request.Each;
        long[] weights = [.. missing.Select(i => Math.Max(1, TokenCounter.EstimateTexts(each[items.Items[i].Places[0]])))];
        var all = weights.Sum();
        var (provider, model) = (served.Target.Target.Provider, served.Target.Target.Model.Id);
        var keeping = new List<(int, KeptVector)>(missing.Length);
        for (var i = 0; i < missing.Length; i++)
        {
            // The provider bills the request as a whole: each item has its part of that.
            var vector = new KeptVector(provider, model, made.Model, served.Cost * weights[i] / all, made.Vectors[i]);
            vectors[missing[i]] = vector;
            keeping.Add((missing[i], vector));
        }

        for (var target = 0; target < call.Route.Count; target++)
        {
            if (call.Route[target].Target == served.Target.Target)
                await cache.KeepAsync(items, target, keeping);
        }
    }

    private static ChatEvent Event(EmbeddingRequest request, EmbeddingItems items, KeptVector[] vectors, string model, long tokens)
    {
        var ordered = new byte[request.Items][];
        for (var i = 0; i < vectors.Length; i++)
        {
            foreach (var place in items.Items[i].Places)
                ordered[place] = vectors[i].Vector;
        }

        return new ChatEvent(ChatEventKind.Completion, EmbeddingReply.Write(ordered, model, request.Base64, tokens));
    }
}
