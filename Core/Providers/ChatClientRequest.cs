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

    /// <summary>
    /// What is misshapen is none of this: it passes here, and <see cref="Messages"/> or <see cref="Options"/> refuses it as any provider would.
    /// Hints that change nothing the caller relies on are left out (docs/routing.md lists them).
    /// </summary>
    public static UnsupportedField? FindUnsupported(ChatRequest request)
    {
        foreach (var field in request.Json.EnumerateObject())
        {
            if (!Carried.Contains(field.Name) && !AsksForNothing(field, request))
                return new UnsupportedField(field.Name);
        }

        if (UnsupportedTool(request.Json) is { } tool)
            return tool;
        foreach (var (i, message) in request.Messages.EnumerateArray().Index())
        {
            if (UnsupportedInMessage(i, message) is { } found)
                return found;
        }

        return null;
    }

    private static UnsupportedField? UnsupportedTool(JsonElement json)
    {
        if (json.TryGetProperty("tools", out var tools) && tools.ValueKind == JsonValueKind.Array)
        {
            foreach (var (i, tool) in tools.EnumerateArray().Index())
            {
                if (TypeBeyond(tool, "function") is { } type)
                    return OfType($"tools[{i}]", "A tool", type, "Describe it as a function, or use a model of another provider.");
            }
        }

        if (json.TryGetProperty("tool_choice", out var choice) && TypeBeyond(choice, "function") is { } chosen)
            return OfType("tool_choice", "A 'tool_choice'", chosen, "Send only the tools that may be called, or use a model of another provider.");
        return json.TryGetProperty("response_format", out var format) && TypeBeyond(format, "text", "json_object", "json_schema") is { } asked
            ? OfType("response_format", "A 'response_format'", asked, "Use 'json_schema', or a model of another provider.")
            : null;
    }

    private static UnsupportedField? UnsupportedInMessage(int index, JsonElement message)
    {
        // Their successors are tool_calls and the role "tool", which say which call a result belongs to.
        if (message.GetProperty("role").ValueEquals("function"u8))
            return OfOlderCalling($"messages[{index}].role");
        if (Has(message, "function_call"))
            return OfOlderCalling($"messages[{index}].function_call");
        if (Has(message, "audio"))
            return new UnsupportedField($"messages[{index}].audio");
        if (message.TryGetProperty("tool_calls", out var calls) && calls.ValueKind == JsonValueKind.Array)
        {
            foreach (var (i, call) in calls.EnumerateArray().Index())
            {
                if (TypeBeyond(call, "function") is { } type)
                    return OfType($"messages[{index}].tool_calls[{i}]", "A tool call", type, "Leave such calls out of the conversation, or use a model of another provider.");
            }
        }

        return UnsupportedPart(message) is { } part ? new UnsupportedField($"messages[{index}].content[{part}]") : null;
    }

    private static UnsupportedField OfOlderCalling(string path)
        => new(path) { What = $"'{path}' of the older function calling", Remedy = "Send 'tools', 'tool_calls' and the role 'tool', or use a model of another provider." };

    private static UnsupportedField OfType(string path, string what, string type, string remedy) => new(path) { What = $"{what} of the type '{type}'", Remedy = remedy };

    /// <summary>The element's type, when it has one and it is none of these.</summary>
    private static string? TypeBeyond(JsonElement element, params ReadOnlySpan<string> known)
        => element.ValueKind == JsonValueKind.Object && element.TryGetProperty("type", out var type) && type.ValueKind == JsonValueKind.String && !known.Contains(type.GetString()!)
            ? type.GetString()
            : null;

    private static bool Has(JsonElement message, string name) => message.TryGetProperty(name, out var value) && value.ValueKind != JsonValueKind.Null;

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
        // A tool's result is text at OpenAI; an image in it would be left out.
        var takesImages = !message.GetProperty("role").ValueEquals("tool"u8);
        var i = 0;
        foreach (var part in content.EnumerateArray())
        {
            var type = part.ValueKind == JsonValueKind.Object && part.TryGetProperty("type", out var t) && t.ValueKind == JsonValueKind.String ? t.GetString() : null;
            if (type is not ("text" or "refusal") && !(type is "image_url" && takesImages))
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
            "tool" => ChatRole.Tool,
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
        // Without its words the message would be empty, and the client would leave it out.
        if (contents.Count == 0 && message.TryGetProperty("refusal", out var refusal) && refusal.ValueKind == JsonValueKind.String)
            contents.Add(new TextContent(refusal.GetString()));
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
        {
            options.AllowMultipleToolCalls = parallel.GetBoolean();
            // Clients read it with the mode only. Without tools there is nothing to call, and some providers refuse a mode then.
            if (options.Tools is { Count: > 0 })
                options.ToolMode ??= ChatToolMode.Auto;
        }

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
            format.GetProperty("json_schema").GetProperty("name").GetString(),
            format.GetProperty("json_schema").TryGetProperty("description", out var description) ? description.GetString() : null),
        _ => null,
    };

    private static float? Single(JsonElement json, string name)
        => json.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.Number ? value.GetSingle() : null;
}
