using AiAspire.Simulator.Tokens;

namespace AiAspire.Simulator.Generation;

/// <summary>What the model wants to say: text, or the call of a tool whose arguments are <paramref name="Text"/>.</summary>
internal sealed record ReplyPart(string? ToolName, string Text);

internal enum Finish
{
    Stop,
    StopSequence,
    Length,
    ToolCalls,
}

/// <param name="StartTokens">Tokens of a tool's name, spent with the first chunk.</param>
/// <param name="Taken">Pieces that fit under the caller's limit.</param>
internal sealed record PlannedPart(string? ToolName, string? CallId, TokenPiece[] Pieces, int StartTokens, int Taken, string Text);

/// <summary>A reply cut to the caller's stop sequences and token limit: streamed and plain replies are made from the same plan.</summary>
internal sealed class PlannedReply
{
    public required IReadOnlyList<PlannedPart> Parts { get; init; }

    public required int ReasoningTokens { get; init; }

    /// <summary>Of one choice, reasoning included.</summary>
    public required int OutputTokens { get; init; }

    public required Finish Finish { get; init; }

    public string? StopSequence { get; init; }

    /// <param name="newCallId">Makes an id for a tool call, in the company's fashion.</param>
    public static PlannedReply Plan(IReadOnlyList<ReplyPart> reply, ChatPrompt prompt, TokenCounter tokens, Func<string> newCallId)
    {
        var limit = prompt.MaxTokens ?? int.MaxValue;
        var reasoning = Math.Min(prompt.ReasoningTokens, limit);
        var (left, cut) = (limit - reasoning, false);
        string? stoppedBy = null;
        var parts = new List<PlannedPart>(reply.Count);
        foreach (var part in reply)
        {
            if (left <= 0)
            {
                cut = true;
                break;
            }

            var text = part.ToolName is null ? CutAtStop(part.Text, prompt.Stop, ref stoppedBy) : part.Text;
            var startTokens = part.ToolName is null ? 0 : Math.Min(left, tokens.Count(part.ToolName));
            left -= startTokens;
            var pieces = tokens.Pieces(text);
            var taken = 0;
            while (taken < pieces.Length && pieces[taken].Tokens <= left) left -= pieces[taken++].Tokens;
            if (taken < pieces.Length)
            {
                // What was cut never reached its stop sequence.
                (cut, stoppedBy) = (true, null);
                text = string.Concat(pieces.Take(taken).Select(p => p.Text));
            }

            parts.Add(new PlannedPart(part.ToolName, part.ToolName is null ? null : newCallId(), pieces, startTokens, taken, text));
            if (cut || stoppedBy is not null) break;
        }

        return new PlannedReply
        {
            Parts = parts,
            ReasoningTokens = reasoning,
            OutputTokens = limit - left,
            StopSequence = stoppedBy,
            Finish = cut ? Finish.Length
                : stoppedBy is not null ? Finish.StopSequence
                : parts.Exists(p => p.ToolName is not null) ? Finish.ToolCalls
                : Finish.Stop,
        };
    }

    private static string CutAtStop(string text, IReadOnlyList<string> stops, ref string? stoppedBy)
    {
        var first = text.Length;
        foreach (var stop in stops)
        {
            var at = text.IndexOf(stop, StringComparison.Ordinal);
            if (at < 0 || at >= first) continue;
            (first, stoppedBy) = (at, stop);
        }

        return text[..first];
    }
}
