using System.Text.Json;
using AiAspire.Core.Wire;
using Microsoft.Extensions.AI;

namespace AiAspire.Core.Providers;

/// <summary>OpenAI's request in the terms of <c>Microsoft.Extensions.AI</c>.</summary>
internal static class ChatClientRequest
{
    private static readonly HashSet<string> Carried = new(StringComparer.Ordinal)
    {
        "model", "messages", "stream", "stream_options", "max_tokens", "max_completion_tokens", "temperature", "top_p", "stop",
        "tools", "tool_choice", "parallel_tool_calls", "response_format", "frequency_penalty", "presence_penalty",
        // Ours: who the caller is and what they want noted; no provider needs them.
        "user", "metadata", "store", "safety_identifier",
    };

    public static string? FindUnsupported(ChatRequest request)
    {
        foreach (var field in request.Json.EnumerateObject())
        {
            if (!Carried.Contains(field.Name) && !AsksForNothing(field, request))
                return field.Name;
        }

        var i = 0;
        foreach (var message in request.Messages.EnumerateArray())
        {
            if (UnsupportedPart(message) is { } part)
                return $"messages[{i}].content[{part}]";
            i++;
        }

        return null;
    }

    /// <summary>The value is what a request without the field has: some clients send it always.</summary>
    private static bool AsksForNothing(JsonProperty field, ChatRequest request) => field.Value.ValueKind == JsonValueKind.Null || field.Name switch
    {
        "n" => request.Choices == 1,
        "logprobs" => field.Value.ValueKind == JsonValueKind.False,
        "logit_bias" => field.Value.ValueKind == JsonValueKind.Object && field.Value.GetPropertyCount() == 0,
        "service_tier" => field.Value.ValueKind == JsonValueKind.String && (field.Value.ValueEquals("auto"u8) || field.Value.ValueEquals("default"u8)),
        "modalities" => field.Value.ValueKind == JsonValueKind.Array && field.Value.GetArrayLength() == 1 && field.Value[0].ValueKind == JsonValueKind.String && field.Value[0].ValueEquals("text"u8),
        _ => false,
    };

    private static int? UnsupportedPart(JsonElement message)
    {
        if (!message.TryGetProperty("content", out var content) || content.ValueKind != JsonValueKind.Array)
            return null;
        var i = 0;
        foreach (var part in content.EnumerateArray())
        {
            var type = part.ValueKind == JsonValueKind.Object && part.TryGetProperty("type", out var t) && t.ValueKind == JsonValueKind.String ? t.GetString() : null;
            if (type is not ("text" or "image_url" or "refusal"))
                return i;
            i++;
        }

        return null;
    }

    public static List<ChatMessage> Messages(ChatRequest request) => [.. request.Messages.EnumerateArray().Select(Message)];

    private static ChatMessage Message(JsonElement message)
    {
        var role = message.GetProperty("role").GetString() switch
        {
            "system" or "developer" => ChatRole.System,
            "assistant" => ChatRole.Assistant,
            "tool" or "function" => ChatRole.Tool,
            _ => ChatRole.User,
        };
        List<AIContent> contents = [];
        if (role == ChatRole.Tool)
        {
            var id = message.TryGetProperty("tool_call_id", out var callId) ? callId.GetString() ?? "" : "";
            return new ChatMessage(role, [new FunctionResultContent(id, TextOf(message))]);
        }

        if (message.TryGetProperty("content", out var content))
            AddContents(contents, content);
        if (message.TryGetProperty("tool_calls", out var calls) && calls.ValueKind == JsonValueKind.Array)
        {
            foreach (var call in calls.EnumerateArray())
            {
                var function = call.GetProperty("function");
                var (id, name) = (call.GetProperty("id").GetString() ?? "", function.GetProperty("name").GetString() ?? "");
                contents.Add(FunctionCallContent.CreateFromParsedArguments(
                    function.GetProperty("arguments").GetString() ?? "{}", id, name,
                    static json => JsonSerializer.Deserialize<Dictionary<string, object?>>(json)));
            }
        }

        return new ChatMessage(role, contents);
    }

    private static string TextOf(JsonElement message)
        => !message.TryGetProperty("content", out var content) ? ""
            : content.ValueKind == JsonValueKind.String ? content.GetString()!
            : content.ValueKind == JsonValueKind.Array
                ? string.Concat(content.EnumerateArray().Select(p => p.TryGetProperty("text", out var text) ? text.GetString() : ""))
                : "";

    private static void AddContents(List<AIContent> contents, JsonElement content)
    {
        if (content.ValueKind == JsonValueKind.String)
        {
            contents.Add(new TextContent(content.GetString()));
            return;
        }

        if (content.ValueKind != JsonValueKind.Array)
            return;
        foreach (var part in content.EnumerateArray())
        {
            if (part.TryGetProperty("text", out var text) || part.TryGetProperty("refusal", out text))
            {
                contents.Add(new TextContent(text.GetString()));
            }
            else if (part.TryGetProperty("image_url", out var image) && image.TryGetProperty("url", out var url) && url.GetString() is { } address)
            {
                contents.Add(address.StartsWith("data:", StringComparison.OrdinalIgnoreCase)
                    ? new DataContent(address)
                    : new UriContent(address, "image/*"));
            }
        }
    }

    public static ChatOptions Options(ChatRequest request, string upstreamModel, int outputCap)
    {
        var json = request.Json;
        var options = new ChatOptions
        {
            ModelId = upstreamModel,
            MaxOutputTokens = Math.Min(request.MaxOutputTokens ?? outputCap, outputCap),
            Temperature = Single(json, "temperature"),
            TopP = Single(json, "top_p"),
            FrequencyPenalty = Single(json, "frequency_penalty"),
            PresencePenalty = Single(json, "presence_penalty"),
        };
        if (json.TryGetProperty("stop", out var stop))
        {
            options.StopSequences = stop.ValueKind switch
            {
                JsonValueKind.String => [stop.GetString()!],
                JsonValueKind.Array => [.. stop.EnumerateArray().Select(s => s.GetString()!)],
                _ => null,
            };
        }

        if (json.TryGetProperty("tools", out var tools) && tools.ValueKind == JsonValueKind.Array)
            options.Tools = [.. tools.EnumerateArray().Select(Tool)];
        if (json.TryGetProperty("tool_choice", out var choice))
            options.ToolMode = ToolMode(choice);
        if (json.TryGetProperty("parallel_tool_calls", out var parallel) && parallel.ValueKind is JsonValueKind.True or JsonValueKind.False)
            options.AllowMultipleToolCalls = parallel.GetBoolean();
        if (json.TryGetProperty("response_format", out var format) && format.ValueKind == JsonValueKind.Object)
            options.ResponseFormat = ResponseFormat(format);
        return options;
    }

    private static AITool Tool(JsonElement tool)
    {
        var function = tool.GetProperty("function");
        return AIFunctionFactory.CreateDeclaration(
            function.GetProperty("name").GetString()!,
            function.TryGetProperty("description", out var description) ? description.GetString() : null,
            function.TryGetProperty("parameters", out var parameters) ? parameters.Clone() : JsonElement.Parse("{\"type\":\"object\",\"properties\":{}}"u8));
    }

    private static ChatToolMode? ToolMode(JsonElement choice) => choice.ValueKind switch
    {
        JsonValueKind.String when choice.ValueEquals("none"u8) => ChatToolMode.None,
        JsonValueKind.String when choice.ValueEquals("required"u8) => ChatToolMode.RequireAny,
        JsonValueKind.String => ChatToolMode.Auto,
        JsonValueKind.Object => ChatToolMode.RequireSpecific(choice.GetProperty("function").GetProperty("name").GetString()!),
        _ => null,
    };

    private static ChatResponseFormat? ResponseFormat(JsonElement format) => format.GetProperty("type").GetString() switch
    {
        "json_object" => ChatResponseFormat.Json,
        "json_schema" => ChatResponseFormat.ForJsonSchema(
            format.GetProperty("json_schema").GetProperty("schema").Clone(),
            format.GetProperty("json_schema").GetProperty("name").GetString()),
        _ => null,
    };

    private static float? Single(JsonElement json, string name)
        => json.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.Number ? value.GetSingle() : null;
}
