using System.ClientModel;
using System.ClientModel.Primitives;
using System.Text.Json;
using AiAspire.Core.Models;
using AiAspire.Core.Wire;
using Anthropic;
using Anthropic.Core;
using Microsoft.Extensions.AI;
using OpenAI;

namespace AiAspire.Core.Providers;

/// <summary>The companies' own SDKs, sending through our pooled HTTP client and retrying nothing: the route does that.</summary>
internal static class SdkChatClients
{
    public static IChatClient Anthropic(ModelTarget target, string apiKey, HttpClient httpClient, Guid attemptId)
        => new AnthropicClient(new ClientOptions
        {
            HttpClient = httpClient,
            BaseUrl = target.Settings.BaseAddress!.AbsoluteUri.TrimEnd('/'),
            ApiKey = apiKey,
            MaxRetries = 0,
            Timeout = Timeout.InfiniteTimeSpan,
            ExtraHeaders = new Dictionary<string, string>(StringComparer.Ordinal) { ["X-Client-Request-Id"] = attemptId.ToString() },
        }).AsIChatClient(target.UpstreamModel, target.Model.MaxOutputTokens);

    /// <summary>Anthropic's messages have no penalties and no JSON mode without a schema; its client leaves them out without a word.</summary>
    public static string? FindUnsupportedByAnthropic(ChatRequest request)
    {
        foreach (var name in (ReadOnlySpan<string>)["frequency_penalty", "presence_penalty"])
        {
            if (request.Json.TryGetProperty(name, out var penalty) && penalty.ValueKind == JsonValueKind.Number && penalty.GetDouble() != 0)
                return name;
        }

        return request.Json.TryGetProperty("response_format", out var format)
            && format.ValueKind == JsonValueKind.Object
            && format.TryGetProperty("type", out var type)
            && type.ValueKind == JsonValueKind.String
            && type.ValueEquals("json_object"u8)
                ? "response_format"
                : null;
    }

    public static IChatClient OpenAi(ModelTarget target, string apiKey, HttpClient httpClient, Guid attemptId)
    {
        var options = new OpenAIClientOptions
        {
            Endpoint = target.Settings.BaseAddress,
            Transport = new HttpClientPipelineTransport(httpClient),
            RetryPolicy = new ClientRetryPolicy(0),
            NetworkTimeout = Timeout.InfiniteTimeSpan,
        };
        options.AddPolicy(new RequestIdPolicy(attemptId), PipelinePosition.PerCall);
        return new OpenAIClient(new ApiKeyCredential(apiKey), options).GetChatClient(target.UpstreamModel).AsIChatClient();
    }

    private sealed class RequestIdPolicy(Guid attemptId) : PipelinePolicy
    {
        public override void Process(PipelineMessage message, IReadOnlyList<PipelinePolicy> pipeline, int currentIndex)
        {
            message.Request.Headers.Set("X-Client-Request-Id", attemptId.ToString());
            ProcessNext(message, pipeline, currentIndex);
        }

        public override ValueTask ProcessAsync(PipelineMessage message, IReadOnlyList<PipelinePolicy> pipeline, int currentIndex)
        {
            message.Request.Headers.Set("X-Client-Request-Id", attemptId.ToString());
            return ProcessNextAsync(message, pipeline, currentIndex);
        }
    }
}
