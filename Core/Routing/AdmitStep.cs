using System.Runtime.CompilerServices;
using AiAspire.Core.Models;
using AiAspire.Core.Providers;
using AiAspire.Core.Wire;

namespace AiAspire.Core.Routing;

/// <summary>Decides which targets may serve the call: those of the model that the caller's tier allows, that have a price, and that can carry every field.</summary>
public sealed class AdmitStep(ModelCatalog catalog, PriceBook prices, ChatProviders providers, Draw draw, TimeProvider time) : IChatStep
{
    public async IAsyncEnumerable<ChatEvent> InvokeAsync(ChatCall call, ChatNext next, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        Admit(call);
        await foreach (var reply in next(call, cancellationToken))
            yield return reply;
    }

    private void Admit(ChatCall call)
    {
        var request = call.Request;
        var entitlements = call.Caller.Entitlements;
        // Drawn once: every attempt of the request follows this order.
        var targets = catalog.Find(request.Model, call.Feature)?.Order(draw.Invoke) ?? [];
        // Not allowed and not there look the same: the answer tells nobody which models others have.
        if (targets.Count == 0 || !entitlements.AllowsModel(request.Model))
            throw WireException.ModelNotFound(request.Model);
        if (!entitlements.AllowsFeature(call.Feature))
            throw new WireException(403, "permission_error", "feature_not_in_tier", $"The feature '{call.Feature}' is not part of the tier '{entitlements.Tier}'.", "X-AiAspire-Feature");
        targets = StillOffered(request, targets);
        call.Deprecation = catalog.Model(request.Model) is { } named ? ModelDeprecation.Of(named.Model) : null;
        if (!targets.Any(Serves))
            throw NotSupported(request);
        var priced = targets.Where(Serves)
            .Select(t => (Target: t, Price: prices.Find(t)))
            .Where(t => t.Price is not null)
            .Select(t => new PricedTarget(t.Target, t.Price!))
            .ToList();
        if (priced.Count == 0)
            throw new WireException(503, "server_error", "price_unknown", $"The model `{request.Model}` has no price, so it is not served. Give it one: POST /v1/admin/models/{{id}}/prices.", "model");
        var unsupported = priced.Select(t => FindUnsupported(t.Target, request)).ToList();
        call.Route = [.. priced.Where((_, i) => unsupported[i] is null)];
        if (call.Route.Count == 0)
            throw NotSupported(request, unsupported[0]!);
        call.EstimatedInput = request.EstimateInput();
        // What else there is has no output, and its context is each item's own.
        if (request.Kind != ModelKind.Chat)
            return;
        CheckContext(call);
        call.OutputCap = Math.Min(request.MaxOutputTokens ?? entitlements.DefaultMaxOutputTokens, call.Route.Min(t => t.Target.Model.MaxOutputTokens));

        bool Serves(ModelTarget target) => target.Model.Kind == request.Kind && providers.For(target).Serves(request.Kind);
    }

    /// <exception cref="WireException">404: all of them had their sunset.</exception>
    private IReadOnlyList<ModelTarget> StillOffered(ModelRequest request, IReadOnlyList<ModelTarget> targets)
    {
        if (targets.All(static t => t.Model.SunsetAt is null))
            return targets;
        var now = time.GetUtcNow();
        ModelTarget[] left = [.. targets.Where(t => !(t.Model.SunsetAt <= now))];
        return left.Length > 0 ? left : throw WireException.ModelRetired(request.Model, targets[0].Model.SunsetAt!.Value, targets[0].Model.Replacement);
    }

    private UnsupportedField? FindUnsupported(ModelTarget target, ModelRequest request)
        => CapabilityCheck.FindMissing(target.Model, request) is { } missing
            ? new UnsupportedField(missing) { Remedy = "Leave it out, or use another model." }
            : providers.For(target).FindUnsupported(request);

    private static WireException NotSupported(ModelRequest request, UnsupportedField field)
        => WireException.BadRequest($"{field.What} is not supported with the model `{request.Model}`. {field.Remedy}", field.Name, "unsupported_parameter");

    private static WireException NotSupported(ModelRequest request) => WireException.BadRequest(
        $"The model `{request.Model}` does not serve /v1/{request.Path}: that takes a model for {request.Kind switch
        {
            ModelKind.Embedding => "embeddings",
            ModelKind.Moderation => "moderation",
            _ => "chat",
        }}.",
        "model",
        "model_not_supported");

    /// <summary>A prompt that surely exceeds every target is refused before money is reserved for it; the provider's own count decides the rest.</summary>
    private static void CheckContext(ChatCall call)
    {
        // No tokenizer puts more bytes of ordinary text into one token than this, and the estimate is at most one token a byte.
        const int MostBytesPerToken = 8;
        var window = call.Route.Max(t => t.Target.Model.ContextWindow);
        if (call.EstimatedInput / MostBytesPerToken > window)
        {
            throw WireException.BadRequest(
                $"This model's maximum context length is {window} tokens, and the messages have far more.", "messages", "context_length_exceeded");
        }
    }
}
