using System.Text.Json;
using AiAspire.Simulator.Generation;
using AiAspire.Simulator.Replies;
using AiAspire.Simulator.Tokens;
using AiAspire.Simulator.Wire;

namespace AiAspire.Simulator.Anthropic;

/// <summary>
/// Reads <c>{"model":"sim-anthropic-large","max_tokens":100,"system":"…","messages":[{"role":"user","content":[{"type":"text","text":"hi"}]}]}</c>.
/// The prompt's order for caching is tools, system, messages.
/// </summary>
internal static class MessagesRequestReader
{
    private const int TokensPerMessage = 4;
    private const int ReplyPrimer = 3;
    private const int TokensPerImage = 85;

    /// <param name="counting">For count_tokens, which knows no max_tokens.</param>
    public static ChatPrompt Read(RequestJson body, bool counting)
    {
        var prompt = new ChatPrompt();
        if (!counting)
        {
            _ = body.Required("max_tokens");
            // 0 warms the cache and generates nothing.
            prompt.MaxTokens = body.OptionalInt("max_tokens", 0);
        }

        body.CheckNumber("temperature", 0, 1);
        body.CheckNumber("top_p", 0, 1);
        body.OptionalInt("top_k", 0);
        if (body.TryGet("stop_sequences", out var stops)) prompt.Stop = [.. stops.Items().Select(s => s.String()).Where(s => s.Length > 0)];
        ReadTools(body, prompt);
        ReadFormat(body, prompt);
        ReadSystem(body, prompt);
        ReadMessages(body, prompt);
        // A cache_control on the request itself caches up to its last block.
        if (body.TryGet("cache_control", out _)) prompt.Segments[^1] = prompt.Segments[^1] with { CacheBreakpoint = true };
        prompt.Segments.Add(new PromptSegment("", ReplyPrimer, 0));
        return prompt;
    }

    private static void ReadTools(RequestJson body, ChatPrompt prompt)
    {
        if (body.TryGet("tools", out var tools))
        {
            foreach (var tool in tools.Items())
            {
                var name = tool.Required("name").String();
                // Tools that the company runs itself (web search and so on) have a type of their own and no schema.
                if (tool.OptionalString("type") is null or "custom")
                {
                    var schema = tool.Required("input_schema");
                    if (!schema.IsObject) throw schema.Invalid("Input should be a valid dictionary");
                    prompt.Tools.Add(new OfferedTool(name, schema.Element));
                }

                prompt.Segments.Add(new PromptSegment(CompactJson.Of(tool.Element), TokensPerMessage, StableHash.Of("tool"), IsBreakpoint(tool)));
            }
        }

        if (body.TryGet("tool_choice", out var choice)) ReadToolChoice(choice, prompt);
    }

    private static void ReadToolChoice(RequestJson choice, ChatPrompt prompt)
    {
        switch (choice.Required("type").String())
        {
            case "auto":
                break;
            case "any":
                prompt.Demand = ToolDemand.Required;
                break;
            case "none":
                prompt.Demand = ToolDemand.None;
                break;
            case "tool":
                var name = choice.Required("name").String();
                if (!prompt.Tools.Exists(t => t.Name == name)) throw choice.Invalid($"Tool '{name}' not found in provided tools");
                (prompt.Demand, prompt.ForcedTool) = (ToolDemand.Required, name);
                break;
            default:
                throw choice.Invalid("Input tag does not match any of the expected tags: 'auto', 'any', 'tool', 'none'");
        }

        prompt.ParallelToolCalls = !choice.OptionalBool("disable_parallel_tool_use");
    }

    /// <summary><c>"output_config":{"format":{"type":"json_schema","schema":{…}}}</c>.</summary>
    private static void ReadFormat(RequestJson body, ChatPrompt prompt)
    {
        if (!body.TryGet("output_config", out var config) || !config.TryGet("format", out var format)) return;
        if (format.Required("type").String() != "json_schema") throw format.Invalid("Input should be 'json_schema'");
        var schema = format.Required("schema");
        if (!schema.IsObject) throw schema.Invalid("Input should be a valid dictionary");
        (prompt.Format, prompt.Schema) = (AnswerFormat.JsonSchema, schema.Element);
        prompt.Segments.Add(new PromptSegment(CompactJson.Of(schema.Element), TokensPerMessage, StableHash.Of("schema")));
    }

    private static void ReadSystem(RequestJson body, ChatPrompt prompt)
    {
        if (!body.TryGet("system", out var system)) return;
        if (system.IsString)
        {
            prompt.SystemText = system.String();
            prompt.Segments.Add(new PromptSegment(prompt.SystemText, TokensPerMessage, StableHash.Of("system")));
            return;
        }

        var texts = new List<string>();
        foreach (var block in system.Items())
        {
            if (block.Required("type").String() != "text") throw block.Invalid("Input should be a text block");
            texts.Add(block.Required("text").String());
            prompt.Segments.Add(new PromptSegment(texts[^1], texts.Count == 1 ? TokensPerMessage : 0, StableHash.Of("system"), IsBreakpoint(block)));
        }

        prompt.SystemText = string.Join('\n', texts);
    }

    private static void ReadMessages(RequestJson body, ChatPrompt prompt)
    {
        var messages = body.Required("messages");
        if (!messages.IsArray) throw messages.Invalid("Input should be a valid list");
        if (messages.Element.GetArrayLength() == 0) throw messages.Invalid("at least one message is required");
        foreach (var message in messages.Items())
        {
            var role = message.Required("role");
            if (role.String() is not ("user" or "assistant" or "system")) throw role.Invalid("Input should be 'user', 'assistant' or 'system'");
            ReadMessage(message.Required("content"), role.String(), prompt);
        }
    }

    private static void ReadMessage(RequestJson content, string role, ChatPrompt prompt)
    {
        var salt = StableHash.Of(role);
        var texts = new List<string>();
        var results = new List<string>();
        if (content.IsString)
        {
            texts.Add(content.String());
            prompt.Segments.Add(new PromptSegment(texts[0], TokensPerMessage, salt));
        }
        else
        {
            var overhead = TokensPerMessage;
            foreach (var block in content.Items())
            {
                var (text, tokens, mark) = ReadBlock(block, texts, results);
                prompt.Segments.Add(new PromptSegment(text, tokens + overhead, StableHash.Combine(salt, mark), IsBreakpoint(block)));
                overhead = 0;
            }
        }

        if (role == "system")
        {
            // System messages between the turns leave the last turn what it was.
            prompt.SystemText = string.Join('\n', [prompt.SystemText, .. texts]).TrimStart('\n');
            return;
        }

        // Turns of the user in a row are one: results of parallel calls may come one by one.
        prompt.ToolResult = role == "user" && results.Count > 0 ? string.Join('\n', prompt.ToolResult is { } earlier ? [earlier, .. results] : results) : null;
        if (role == "user" && texts.Count > 0) prompt.LastUserText = string.Join('\n', texts);
    }

    /// <summary>What a block counts as: text, tokens beside it, and what tells it from another block with equal text.</summary>
    private static (string Text, int Tokens, ulong Mark) ReadBlock(RequestJson block, List<string> texts, List<string> results)
    {
        var type = block.Required("type");
        switch (type.String())
        {
            case "text":
                texts.Add(block.Required("text").String());
                return (texts[^1], 0, 0);
            case "image":
                return ("", TokensPerImage, StableHash.Of(block.Required("source").Element.GetRawText()));
            case "document":
                return (block.Required("source").Element.GetRawText(), 0, 1);
            case "tool_use":
                return (block.Required("name").String() + CompactJson.Of(block.Required("input").Element), TokensPerMessage, 2);
            case "tool_result":
                _ = block.Required("tool_use_id").String();
                var (text, images) = ReadToolResult(block);
                results.Add(text);
                return (text, TokensPerMessage + (images * TokensPerImage), 3);
            case "thinking" or "redacted_thinking":
                // Earlier thinking is taken out of the prompt by the company.
                return ("", 0, 4);
            default:
                throw type.Invalid("Input tag is not one of the known content blocks");
        }
    }

    private static (string Text, int Images) ReadToolResult(RequestJson block)
    {
        if (!block.TryGet("content", out var content)) return ("", 0);
        if (content.IsString) return (content.String(), 0);
        var texts = new List<string>();
        var images = 0;
        foreach (var part in content.Items())
        {
            if (part.Required("type").String() == "text") texts.Add(part.Required("text").String());
            else images++;
        }

        return (string.Join('\n', texts), images);
    }

    private static bool IsBreakpoint(RequestJson block) => block.TryGet("cache_control", out _);
}
