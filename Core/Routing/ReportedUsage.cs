using System.Text.Json;
using AiAspire.Core.Models;
using AiAspire.Core.Wire;

namespace AiAspire.Core.Routing;

/// <summary>
/// Whether what a provider says it used can be true of the request that was sent and the reply that came. The bounds are wide: tokenizers
/// differ by a factor of two, providers add prompts of their own, and reasoning is billed but not shown. What lies beyond them would destroy
/// a budget, or give the call away, by one mistake of somebody else's.
/// </summary>
internal static class ReportedUsage
{
    /// <summary>An image, a sound or a file may become this many input tokens.</summary>
    private const long TokensPerMedium = 65_536;

    /// <summary>What a provider may put before a prompt: its own instructions, the wrapping of tools.</summary>
    private const long HiddenPrompt = 4_096;

    /// <returns>What is impossible about the report, as a word of a metric; null when it is believed.</returns>
    public static string? Doubt(TokenUsage reported, ChatCall call, TokenCounter tokens)
        => DoubtInput(reported.TotalInput, call, tokens) ?? DoubtOutput(reported.Output, call, tokens);

    /// <summary>What was sent and delivered, by our own count.</summary>
    public static TokenUsage Count(ChatCall call, TokenCounter tokens) => new(call.Request.CountInput(tokens), 0, 0, CountDelivered(call.Reply, tokens), 0);

    private static string? DoubtInput(long reported, ChatCall call, TokenCounter tokens)
    {
        if (reported == 0)
            return "no_input";
        // The estimate is made of the request's length: only what it finds odd is counted.
        if (reported > (call.EstimatedInput * 4) + HiddenPrompt && reported > (call.EstimatedInput * 4) + HiddenPrompt + (CountMedia(call.Request.Json) * TokensPerMedium))
            return "too_much_input";
        return (reported * 4) + 64 < call.EstimatedInput && (reported * 4) + 64 < call.Request.CountInput(tokens) ? "too_little_input" : null;
    }

    private static string? DoubtOutput(long reported, ChatCall call, TokenCounter tokens)
    {
        var reply = call.Reply;
        if (reported == 0)
            return reply.DeliveredBytes > 0 ? "no_output" : null;
        // Reasoning is within the cap that was sent.
        var cap = (long)call.OutputCap * call.Request.Choices;
        if (reported > cap + (cap / 8) + 64)
            return "too_much_output";
        return (reported * 6) + 64 < reply.DeliveredBytes && (reported * 2) + 16 < CountDelivered(reply, tokens) ? "too_little_output" : null;
    }

    private static long CountDelivered(ReplyTally reply, TokenCounter tokens) => tokens.Count(reply.Text) + ((reply.DeliveredBytes - reply.Text.Length) / 4);

    private static long CountMedia(JsonElement request)
    {
        if (!request.TryGetProperty("messages"u8, out var messages) || messages.ValueKind != JsonValueKind.Array)
            return 0;
        return messages.EnumerateArray()
            .Where(static m => m.TryGetProperty("content"u8, out var content) && content.ValueKind == JsonValueKind.Array)
            .SelectMany(static m => m.GetProperty("content"u8).EnumerateArray())
            .LongCount(static part => part.ValueKind != JsonValueKind.Object || !part.TryGetProperty("text"u8, out _));
    }
}
