using System.ComponentModel;
using System.Text.Json;

namespace AiAspire.Api.Moderations;

/// <summary>The request as the OpenAPI document shows it; the endpoint reads the raw JSON, and forwards fields that are not listed here.</summary>
public sealed record CreateModerationRequest(
    [property: Description("A text, an array of texts, or one item as an array of parts of type `text` and `image_url`.")] JsonElement Input,
    [property: Description("A moderation model or alias from GET /v1/models; the first one offered when absent.")] string? Model = null);

public sealed record Moderation(string Id, string Model, IReadOnlyList<ModerationResult> Results);

/// <param name="Flagged">Whether any category is.</param>
/// <param name="Categories">By category, whether it is flagged.</param>
/// <param name="CategoryScores">By category, how sure the model is, 0 to 1.</param>
public sealed record ModerationResult(bool Flagged, IReadOnlyDictionary<string, bool> Categories, IReadOnlyDictionary<string, double> CategoryScores);
