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
    /// <param name="call">The call.</param>
    /// <param name="tokens">Counts them.</param>
    /// <param name="unseen">Tokens that were written and not delivered (<see cref="Unseen"/>).</param>
    public static TokenUsage Count(ChatCall call, TokenCounter tokens, long unseen = 0)
    {
        var delivered = CountDelivered(call.Reply, tokens);
        var written = Math.Max(delivered, Math.Min(delivered + unseen, (long)call.OutputCap * call.Request.Choices));
        return new TokenUsage(call.Request.CountInput(tokens), 0, 0, written, 0);
    }

    /// <summary>
    /// What a provider may have written, and will bill, though nothing of it came: all of a call that ended before its first content, and the reasoning
    /// before it of a model that reasons. As many tokens as its time allowed, and no more than were reserved: else whoever leaves early has it for nothing.
    /// </summary>
    public static long Unseen(ChatCall call, Attempt attempt)
    {
        var target = attempt.Target.Target;
        var silence = attempt.FirstToken is not { } first ? attempt.Latency : target.Model.Reasons ? first : TimeSpan.Zero;
        return (long)Math.Min(call.OutputCap, Math.Ceiling(silence.TotalSeconds * target.Settings.TokensPerSecond)) * call.Request.Choices;
    }

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
