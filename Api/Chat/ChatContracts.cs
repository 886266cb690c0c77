using System.ComponentModel;

namespace AiAspire.Api.Chat;

/// <summary>
/// The request as the OpenAPI document shows it. The endpoint reads the raw JSON, and forwards fields that are not listed here to
/// providers that speak the same wire.
/// </summary>
public sealed record ChatCompletionRequest(
    [property: Description("A model or alias from GET /v1/models.")] string Model,
    IReadOnlyList<ChatCompletionMessage> Messages,
    [property: Description("Answer as server-sent events, ended by `data: [DONE]`.")] bool? Stream = null,
    [property: Description("Most tokens of the answer, per choice.")] int? MaxCompletionTokens = null,
    [property: Description("0 to 2.")] double? Temperature = null,
    [property: Description("How many answers.")] int? N = null,
    [property: Description("With a tenant's key: the end user that the call is for.")] string? User = null);

public sealed record ChatCompletionMessage(string Role, string? Content);

public sealed record ChatCompletion(string Id, string Object, long Created, string Model, IReadOnlyList<ChatCompletionChoice> Choices, ChatCompletionUsage Usage);

public sealed record ChatCompletionChoice(int Index, ChatCompletionMessage Message, string FinishReason);

public sealed record ChatCompletionUsage(long PromptTokens, long CompletionTokens, long TotalTokens);
