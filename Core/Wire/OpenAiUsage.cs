using System.Text.Json;
using AiAspire.Core.Models;

namespace AiAspire.Core.Wire;

/// <summary>
/// OpenAI's usage object:
/// <code>{"prompt_tokens":9,"completion_tokens":12,"total_tokens":21,
///  "prompt_tokens_details":{"cached_tokens":0},"completion_tokens_details":{"reasoning_tokens":0}}</code>
/// <c>prompt_tokens</c> includes the cached ones and <c>completion_tokens</c> the reasoning ones. <c>cache_write_tokens</c> is ours, for
/// providers of another wire that bill them.
/// </summary>
internal static class OpenAiUsage
{
    public static TokenUsage Read(ref Utf8JsonReader reader)
    {
        long prompt = 0, completion = 0, cached = 0, cacheWrite = 0, reasoning = 0;
        var depth = reader.CurrentDepth;
        while (reader.Read() && !(reader.TokenType == JsonTokenType.EndObject && reader.CurrentDepth == depth))
        {
            if (reader.TokenType != JsonTokenType.PropertyName)
                continue;
            if (reader.ValueTextEquals("prompt_tokens"u8))
                prompt = Next(ref reader);
            else if (reader.ValueTextEquals("completion_tokens"u8))
                completion = Next(ref reader);
            else if (reader.ValueTextEquals("cached_tokens"u8))
                cached = Next(ref reader);
            else if (reader.ValueTextEquals("cache_write_tokens"u8))
                cacheWrite = Next(ref reader);
            else if (reader.ValueTextEquals("reasoning_tokens"u8))
                reasoning = Next(ref reader);
        }

        // A provider that reports more cached tokens than input would otherwise make a negative charge.
        cached = Math.Clamp(cached, 0, prompt);
        cacheWrite = Math.Clamp(cacheWrite, 0, prompt - cached);
        return new TokenUsage(prompt - cached - cacheWrite, cached, cacheWrite, completion, Math.Clamp(reasoning, 0, completion));
    }

    public static void Write(Utf8JsonWriter writer, TokenUsage usage)
    {
        writer.WriteStartObject();
        writer.WriteNumber("prompt_tokens"u8, usage.TotalInput);
        writer.WriteNumber("completion_tokens"u8, usage.Output);
        writer.WriteNumber("total_tokens"u8, usage.Total);
        writer.WriteStartObject("prompt_tokens_details"u8);
        writer.WriteNumber("cached_tokens"u8, usage.CachedInput);
        if (usage.CacheWrite > 0)
            writer.WriteNumber("cache_write_tokens"u8, usage.CacheWrite);
        writer.WriteEndObject();
        writer.WriteStartObject("completion_tokens_details"u8);
        writer.WriteNumber("reasoning_tokens"u8, usage.Reasoning);
        writer.WriteEndObject();
        writer.WriteEndObject();
    }

    // No reply has more tokens than an int holds; a nonsensical report must not overflow the sums made of it.
    private static long Next(ref Utf8JsonReader reader)
        => reader.Read() && reader.TokenType == JsonTokenType.Number && reader.TryGetInt64(out var value) ? Math.Clamp(value, 0, int.MaxValue) : 0;
}
