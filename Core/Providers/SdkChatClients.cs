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
        => new AnthropicSampling(new AnthropicClient(new ClientOptions
        {
            HttpClient = httpClient,
            BaseUrl = target.Settings.BaseAddress!.AbsoluteUri.TrimEnd('/'),
            ApiKey = apiKey,
            MaxRetries = 0,
            Timeout = Timeout.InfiniteTimeSpan,
            ExtraHeaders = new Dictionary<string, string>(StringComparer.Ordinal) { ["X-Client-Request-Id"] = attemptId.ToString() },
        }).AsIChatClient(target.UpstreamModel, target.Model.MaxOutputTokens));

    /// <summary>
    /// Anthropic's messages have no penalties, no JSON mode without a schema, and a schema's top must be an object with its fields; the
    /// client leaves all of them out without a word. Temperatures beyond 1 the company refuses.
    /// </summary>
    public static UnsupportedField? FindUnsupportedByAnthropic(ChatRequest request)
    {
        foreach (var name in (ReadOnlySpan<string>)["frequency_penalty", "presence_penalty"])
        {
            if (request.Json.TryGetProperty(name, out var penalty) && penalty.ValueKind == JsonValueKind.Number && penalty.GetDouble() != 0)
                return new UnsupportedField(name);
        }

        if (request.Json.TryGetProperty("temperature", out var temperature) && temperature.ValueKind == JsonValueKind.Number && temperature.GetDouble() > 1)
        {
            return new UnsupportedField("temperature")
            {
                What = "A 'temperature' above 1",
                Remedy = "Send one from 0 to 1, or use a model of another provider.",
            };
        }

        if (!request.Json.TryGetProperty("response_format", out var format) || format.ValueKind != JsonValueKind.Object
            || !format.TryGetProperty("type", out var type) || type.ValueKind != JsonValueKind.String)
            return null;
        if (type.ValueEquals("json_object"u8))
        {
            return new UnsupportedField("response_format")
            {
                What = "A 'response_format' of the type 'json_object'",
                Remedy = "Send a schema (type 'json_schema'), or use a model of another provider.",
            };
        }

        return !type.ValueEquals("json_schema"u8) || HasFields(format)
            ? null
            : new UnsupportedField("response_format.json_schema.schema")
            {
                What = "A schema without 'properties' and 'required' at its top",
                Remedy = "Add them ('required' may be an empty array), or use a model of another provider.",
            };
    }

    private static bool HasFields(JsonElement format)
        => format.TryGetProperty("json_schema", out var named) && named.ValueKind == JsonValueKind.Object
            && named.TryGetProperty("schema", out var schema) && schema.ValueKind == JsonValueKind.Object
            && schema.TryGetProperty("properties", out var properties) && properties.ValueKind == JsonValueKind.Object
            && schema.TryGetProperty("required", out var required) && required.ValueKind == JsonValueKind.Array;

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
