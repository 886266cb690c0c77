using System.Text.Json;
using Anthropic.Models.Messages;
using Microsoft.Extensions.AI;

namespace AiAspire.Core.Providers;

/// <summary>
/// Tells Anthropic of temperature and <c>top_p</c> (Messages API, "Create a message"), which its SDK's chat client leaves out without a word: they go with
/// the raw parameters that the client fills in.
/// </summary>
internal sealed class AnthropicSampling(IChatClient inner) : DelegatingChatClient(inner)
{
    private static readonly Dictionary<string, JsonElement> None = [];

    public override Task<ChatResponse> GetResponseAsync(IEnumerable<ChatMessage> messages, ChatOptions? options = null, CancellationToken cancellationToken = default)
        => base.GetResponseAsync(messages, WithSampling(options), cancellationToken);

    public override IAsyncEnumerable<ChatResponseUpdate> GetStreamingResponseAsync(
        IEnumerable<ChatMessage> messages, ChatOptions? options = null, CancellationToken cancellationToken = default)
        => base.GetStreamingResponseAsync(messages, WithSampling(options), cancellationToken);

    private static ChatOptions? WithSampling(ChatOptions? options)
    {
        if (options is not ({ Temperature: not null } or { TopP: not null }))
            return options;
        var told = options.Clone();
        told.RawRepresentationFactory = _ => MessageCreateParams.FromRawUnchecked(None, None, Body(options));
        return told;
    }

    private static Dictionary<string, JsonElement> Body(ChatOptions options)
    {
        var body = new Dictionary<string, JsonElement>(StringComparer.Ordinal)
        {
            // What the client asks its parameters for; the rest it adds.
            ["messages"] = JsonElement.Parse("[]"),
            ["model"] = JsonSerializer.SerializeToElement(options.ModelId),
            ["max_tokens"] = JsonSerializer.SerializeToElement(options.MaxOutputTokens),
        };
        if (options.Temperature is { } temperature)
            body["temperature"] = JsonSerializer.SerializeToElement(temperature);
        if (options.TopP is { } topP)
            body["top_p"] = JsonSerializer.SerializeToElement(topP);
        return body;
    }
}
