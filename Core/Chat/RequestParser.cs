using AiAspire.Core.Models;
using AiAspire.Core.Tenancy;
using AiAspire.Core.Wire;

namespace AiAspire.Core.Chat;

/// <summary>Reads a request by the path that it is for.</summary>
public sealed class RequestParser(ModelCatalog catalog, PriceBook prices, TimeProvider time)
{
    /// <summary>The paths that a model serves.</summary>
    public static IReadOnlyList<string> Endpoints { get; } = ["/v1/chat/completions", "/v1/embeddings", "/v1/moderations"];

    /// <param name="endpoint">One of <see cref="Endpoints"/>.</param>
    /// <param name="body">UTF-8 JSON.</param>
    /// <param name="caller">Who asks.</param>
    /// <exception cref="WireException">400, naming the field at fault.</exception>
    public ModelRequest Parse(string endpoint, ReadOnlyMemory<byte> body, Caller caller) => endpoint switch
    {
        "/v1/chat/completions" => ChatRequest.Parse(body),
        "/v1/embeddings" => EmbeddingRequest.Parse(body),
        "/v1/moderations" => ParseModeration(body, caller),
        _ => throw new ArgumentOutOfRangeException(nameof(endpoint), endpoint, "No model serves this path."),
    };

    /// <summary>A request that names no model goes to the first one on offer to its caller.</summary>
    public ModerationRequest ParseModeration(ReadOnlyMemory<byte> body, Caller caller)
    {
        var offered = catalog.OfferedAt(time.GetUtcNow()).Where(m => m.Value.Model.Kind == ModelKind.Moderation && caller.Entitlements.AllowsModel(m.Key) && prices.Find(m.Value) is not null);
        return ModerationRequest.Parse(body, offered.Select(m => m.Key).FirstOrDefault());
    }
}
