using System.Text.Json;
using AiAspire.Core.Models;
using AiAspire.Core.Wire;

namespace AiAspire.Core.Routing;

/// <summary>What a request needs that its model is known not to have.</summary>
internal static class CapabilityCheck
{
    /// <returns>The field that needs it; null when nothing is missing, or the model's capabilities are not known.</returns>
    public static string? FindMissing(ModelOptions model, ModelRequest request)
    {
        if (model.Capabilities is not { } has || request is not ChatRequest chat)
            return null;
        if (!has.Contains(ModelCapabilities.Tools, StringComparer.Ordinal) && HasTools(chat.Json))
            return "tools";
        if (!has.Contains(ModelCapabilities.StructuredOutput, StringComparer.Ordinal)
            && chat.Json.TryGetProperty("response_format", out var format) && format.ValueKind == JsonValueKind.Object
            && format.TryGetProperty("type", out var type) && type.ValueKind == JsonValueKind.String && type.ValueEquals("json_schema"u8))
            return "response_format";
        return has.Contains(ModelCapabilities.Vision, StringComparer.Ordinal) ? null : FindImage(chat.Messages);
    }

    private static string? FindImage(JsonElement messages)
    {
        foreach (var (i, message) in messages.EnumerateArray().Index())
        {
            if (!message.TryGetProperty("content"u8, out var content) || content.ValueKind != JsonValueKind.Array)
                continue;
            foreach (var (j, part) in content.EnumerateArray().Index())
            {
                if (part.ValueKind == JsonValueKind.Object && part.TryGetProperty("type"u8, out var type) && type.ValueKind == JsonValueKind.String && type.ValueEquals("image_url"u8))
                    return $"messages[{i}].content[{j}]";
            }
        }

        return null;
    }

    private static bool HasTools(JsonElement json)
        => json.TryGetProperty("tools"u8, out var tools) && tools.ValueKind == JsonValueKind.Array && tools.GetArrayLength() > 0;
}
