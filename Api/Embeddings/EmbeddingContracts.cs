using System.ComponentModel;
using System.Text.Json;

namespace AiAspire.Api.Embeddings;

/// <summary>The request as the OpenAPI document shows it; the endpoint reads the raw JSON, and forwards fields that are not listed here.</summary>
public sealed record CreateEmbeddingRequest(
    [property: Description("An embedding model or alias from GET /v1/models.")] string Model,
    [property: Description("A text or a token array, or an array of up to 2048 of them; none empty.")] JsonElement Input,
    [property: Description("`float` (the default) or `base64`: little-endian 32-bit floats.")] string? EncodingFormat = null,
    [property: Description("How many dimensions each vector shall have, where the model lets one choose.")] int? Dimensions = null,
    [property: Description("With a tenant's key: the end user that the call is for.")] string? User = null);

public sealed record EmbeddingList(string Object, IReadOnlyList<Embedding> Data, string Model, EmbeddingUsage Usage);

/// <param name="Object"><c>embedding</c>.</param>
/// <param name="Index">The place of its text in the input.</param>
/// <param name="Vector">Numbers, or text when base64 was asked for.</param>
public sealed record Embedding(string Object, int Index, [property: System.Text.Json.Serialization.JsonPropertyName("embedding")] IReadOnlyList<float> Vector);

public sealed record EmbeddingUsage(long PromptTokens, long TotalTokens);
