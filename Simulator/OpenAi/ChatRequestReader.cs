using System.Text.Json;
using AiAspire.Simulator.Generation;
using AiAspire.Simulator.Models;
using AiAspire.Simulator.Replies;
using AiAspire.Simulator.Tokens;
using AiAspire.Simulator.Wire;

namespace AiAspire.Simulator.OpenAi;

/// <summary>
/// Reads <c>{"model":"sim-large","messages":[{"role":"user","content":"hello"}],"stream":true,"tools":[…]}</c> and refuses what OpenAI
/// refuses, naming the field. Unknown fields are ignored.
/// </summary>
internal sealed class ChatRequestReader(ICompanyWire wire)
{
    private const int TokensPerMessage = 4;
    private const int ReplyPrimer = 3;
    private const int TokensPerImage = 85;

    private static readonly string[] Roles = ["system", "developer", "user", "assistant", "tool", "function"];

    public ChatPrompt Read(RequestJson body, SimulatedModel model)
    {
        var prompt = new ChatPrompt();
        ReadTools(body, prompt);
        ReadFormat(body, prompt);
        ReadMessages(body, prompt);
        ReadSampling(body, prompt);
        ReadReasoning(body, prompt, model);
        return prompt;
    }

    public static bool IsStream(RequestJson body) => body.OptionalBool("stream");

    private static void ReadSampling(RequestJson body, ChatPrompt prompt)
    {
        body.CheckNumber("temperature", 0, 2);
        body.CheckNumber("top_p", 0, 1);
        body.CheckNumber("presence_penalty", -2, 2);
        body.CheckNumber("frequency_penalty", -2, 2);
        if (body.TryGet("seed", out var seed) && !(seed.Kind == JsonValueKind.Number && seed.Element.TryGetInt64(out _))) throw seed.Invalid("must be an integer");
        prompt.Choices = body.OptionalInt("n", 1, 128) ?? 1;
        var oldLimit = body.OptionalInt("max_tokens", 1);
        var newLimit = body.OptionalInt("max_completion_tokens", 1);
        if (oldLimit is not null && newLimit is not null)
            throw Refuse("max_tokens", "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.");
        prompt.MaxTokens = newLimit ?? oldLimit;
        prompt.Stop = ReadStop(body);
        prompt.LogProbs = body.OptionalBool("logprobs");
        prompt.TopLogProbs = body.OptionalInt("top_logprobs", 0, 20) ?? 0;
        if (prompt.TopLogProbs > 0 && !prompt.LogProbs) throw Refuse("top_logprobs", "'logprobs' must be true to use 'top_logprobs'.");
        if (!body.TryGet("stream_options", out var options)) return;
        if (!IsStream(body)) throw Refuse("stream_options", "The 'stream_options' parameter is only allowed when 'stream' is enabled.");
        if (!options.IsObject) throw options.Invalid("must be an object");
        prompt.IncludeUsage = options.OptionalBool("include_usage");
    }

    private static List<string> ReadStop(RequestJson body)
    {
        if (!body.TryGet("stop", out var stop)) return [];
        if (stop.IsString) return [stop.String()];
        var stops = stop.Items().Select(item => item.String()).ToList();
        if (stops.Count > 4) throw stop.Invalid("must hold at most 4 sequences");
        return [.. stops.Where(s => s.Length > 0)];
    }

    private static void ReadReasoning(RequestJson body, ChatPrompt prompt, SimulatedModel model)
    {
        var effort = body.OptionalString("reasoning_effort") ?? "medium";
        var tokens = effort switch
        {
            "none" => 0,
            "minimal" => 16,
            "low" => 64,
            "medium" => 128,
            "high" => 256,
            "xhigh" => 512,
            _ => -1,
        };
        if (tokens < 0 && body.TryGet("reasoning_effort", out var given)) throw given.Invalid("must be one of none, minimal, low, medium, high, xhigh");
        prompt.ReasoningTokens = model.Reasons ? tokens : 0;
    }

    private static void ReadTools(RequestJson body, ChatPrompt prompt)
    {
        if (body.TryGet("tools", out var tools))
        {
            foreach (var tool in tools.Items())
            {
                if (!tool.IsObject) throw tool.Invalid("must be an object");
                if (tool.Required("type").String() != "function") continue;
                var function = tool.Required("function");
                if (!function.IsObject) throw function.Invalid("must be an object");
                function.TryGet("parameters", out var parameters);
                if (parameters.Kind is not (JsonValueKind.Undefined or JsonValueKind.Null or JsonValueKind.Object)) throw parameters.Invalid("must be a JSON schema");
                prompt.Tools.Add(new OfferedTool(function.Required("name").String(), parameters.Element));
            }

            if (prompt.Tools.Count > 0) prompt.Segments.Add(new PromptSegment(CompactJson.Of(tools.Element), TokensPerMessage, StableHash.Of("tools")));
        }

        if (!body.TryGet("parallel_tool_calls", out var parallel)) prompt.ParallelToolCalls = true;
        else prompt.ParallelToolCalls = parallel.Kind is JsonValueKind.True or JsonValueKind.False ? parallel.Element.GetBoolean() : throw parallel.Invalid("must be a boolean");
        if (body.TryGet("tool_choice", out var choice)) ReadToolChoice(choice, prompt);
    }

    private static void ReadToolChoice(RequestJson choice, ChatPrompt prompt)
    {
        if (choice.IsObject)
        {
            if (choice.Required("type").String() != "function") return;
            var name = choice.Required("function").Required("name").String();
            if (!prompt.Tools.Exists(t => t.Name == name)) throw choice.Invalid($"names the function '{name}', which is not among 'tools'");
            (prompt.Demand, prompt.ForcedTool) = (ToolDemand.Required, name);
            return;
        }

        prompt.Demand = choice.String() switch
        {
            "none" => ToolDemand.None,
            "auto" => ToolDemand.Auto,
            "required" => ToolDemand.Required,
            _ => throw choice.Invalid("must be one of none, auto, required, or a function"),
        };
        if (prompt.Tools.Count == 0) throw Refuse("tool_choice", "'tool_choice' is only allowed when 'tools' are specified.");
    }

    private static void ReadFormat(RequestJson body, ChatPrompt prompt)
    {
        if (!body.TryGet("response_format", out var format)) return;
        if (!format.IsObject) throw format.Invalid("must be an object");
        switch (format.Required("type").String())
        {
            case "text":
                break;
            case "json_object":
                prompt.Format = AnswerFormat.JsonObject;
                break;
            case "json_schema":
                var schema = format.Required("json_schema");
                if (!schema.IsObject) throw schema.Invalid("must be an object");
                _ = schema.Required("name").String();
                var definition = schema.Required("schema");
                if (!definition.IsObject) throw definition.Invalid("must be a JSON schema");
                (prompt.Format, prompt.Schema) = (AnswerFormat.JsonSchema, definition.Element);
                prompt.Segments.Add(new PromptSegment(CompactJson.Of(definition.Element), TokensPerMessage, StableHash.Of("schema")));
                break;
            default:
                throw format.Invalid("must have the type text, json_object or json_schema");
        }
    }

    private void ReadMessages(RequestJson body, ChatPrompt prompt)
    {
        var messages = body.Required("messages");
        if (!messages.IsArray) throw messages.Invalid("must be an array of messages");
        if (messages.Element.GetArrayLength() == 0) throw new ProviderErrorException(new ProviderError(
            400, "invalid_request_error", "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead.", "messages", "empty_array"));
        foreach (var message in messages.Items()) ReadMessage(message, prompt);
        prompt.Segments.Add(new PromptSegment("", ReplyPrimer, 0));
    }

    private void ReadMessage(RequestJson message, ChatPrompt prompt)
    {
        if (!message.IsObject) throw message.Invalid("must be an object");
        var role = message.Required("role").String();
        if (!Roles.Contains(role)) throw message.Invalid($"has the unknown role '{role}'");
        var salt = StableHash.Of(role);
        var hasContent = message.TryGet("content", out var content);
        if (!hasContent && role != "assistant") throw new ProviderErrorException(wire.MissingField(message.Path + ".content"));
        var images = 0;
        var text = hasContent ? ReadContent(content, ref images, ref salt) : "";
        if (role == "assistant" && message.TryGet("tool_calls", out var calls)) text += CompactJson.Of(calls.Element);
        if (role == "tool") _ = message.Required("tool_call_id").String();
        if (message.OptionalString("name") is { } name) prompt.Segments.Add(new PromptSegment(name, 1, StableHash.Of("name")));
        prompt.Segments.Add(new PromptSegment(text, TokensPerMessage + (images * TokensPerImage), salt));

        switch (role)
        {
            case "user":
                (prompt.LastUserText, prompt.ToolResult) = (text, null);
                break;
            case "system" or "developer":
                prompt.SystemText = prompt.SystemText.Length == 0 ? text : $"{prompt.SystemText}\n{text}";
                break;
            case "tool" or "function":
                prompt.ToolResult = prompt.ToolResult is null ? text : $"{prompt.ToolResult}\n{text}";
                break;
            default:
                prompt.ToolResult = null;
                break;
        }
    }

    private static string ReadContent(RequestJson content, ref int images, ref ulong salt)
    {
        if (content.IsString) return content.String();
        var texts = new List<string>();
        foreach (var part in content.Items())
        {
            if (!part.IsObject) throw part.Invalid("must be an object");
            switch (part.Required("type").String())
            {
                case "text":
                    texts.Add(part.Required("text").String());
                    break;
                case "refusal":
                    texts.Add(part.Required("refusal").String());
                    break;
                case "image_url":
                    images++;
                    salt = StableHash.Combine(salt, StableHash.Of(part.Required("image_url").Required("url").String()));
                    break;
                case "input_audio" or "file":
                    salt = StableHash.Combine(salt, StableHash.Of(part.Element.GetRawText()));
                    break;
                default:
                    throw part.Invalid("must have the type text, image_url, input_audio, file or refusal");
            }
        }

        return string.Join('\n', texts);
    }

    private static ProviderErrorException Refuse(string param, string message)
        => new(new ProviderError(400, "invalid_request_error", message, param, "invalid_value"));
}
