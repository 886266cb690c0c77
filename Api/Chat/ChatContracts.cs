using System.ComponentModel;
using System.Text.Json;

namespace AiAspire.Api.Chat;

/// <summary>
/// The request as the OpenAPI document shows it. The endpoint reads the raw JSON, and forwards fields that are not listed here to
/// providers that speak the same wire.
/// </summary>
public sealed record ChatCompletionRequest(
    [property: Description("A model or alias from GET /v1/models.")] string Model,
    IReadOnlyList<ChatCompletionRequestMessage> Messages,
    [property: Description("Answer as server-sent events, ended by `data: [DONE]`.")] bool? Stream = null,
    [property: Description("`{\"include_usage\": true}`: a stream's last chunk has the usage.")] JsonElement? StreamOptions = null,
    [property: Description("Most tokens of the answer, per choice.")] int? MaxCompletionTokens = null,
    [property: Description("0 to 2.")] double? Temperature = null,
    [property: Description("How many answers.")] int? N = null,
    [property: Description("A text, or up to four, at which the answer ends.")] JsonElement? Stop = null,
    [property: Description("Functions that the model may call.")] IReadOnlyList<JsonElement>? Tools = null,
    [property: Description("`none`, `auto`, `required`, or a function by its name.")] JsonElement? ToolChoice = null,
    [property: Description("`{\"type\": \"json_schema\", …}` for an answer that fits a schema.")] JsonElement? ResponseFormat = null,
    [property: Description("With a tenant's key: the end user that the call is for.")] string? User = null);

public sealed record ChatCompletionRequestMessage(
    [property: Description("`system`, `developer`, `user`, `assistant` or `tool`.")] string Role,
    [property: Description("A text, or an array of parts of type `text`, `image_url` …; null beside `tool_calls`.")] JsonElement? Content,
    [property: Description("Of an assistant's message: the calls that it asked for.")] IReadOnlyList<JsonElement>? ToolCalls = null,
    [property: Description("Of a tool's message: the call that it answers.")] string? ToolCallId = null);

public sealed record ChatCompletionMessage(string Role, string? Content, string? Refusal = null, IReadOnlyList<JsonElement>? ToolCalls = null);

public sealed record ChatCompletion(string Id, string Object, long Created, string Model, IReadOnlyList<ChatCompletionChoice> Choices, ChatCompletionUsage Usage);

public sealed record ChatCompletionChoice(int Index, ChatCompletionMessage Message, string FinishReason);

public sealed record ChatCompletionUsage(long PromptTokens, long CompletionTokens, long TotalTokens);
