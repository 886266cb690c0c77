using System.Runtime.InteropServices;

namespace AiAspire.Simulator.Tokens;

/// <summary>One stretch of a prompt.</summary>
/// <param name="Overhead">Tokens beside the text: role marks, or an image.</param>
/// <param name="Salt">Tells stretches with equal text apart: role, or an image's hash.</param>
/// <param name="CacheBreakpoint">The caller asked to cache the prompt up to here (Anthropic's <c>cache_control</c>).</param>
internal readonly record struct PromptSegment(string Text, int Overhead, ulong Salt, bool CacheBreakpoint = false);

/// <summary>
/// Remembers prompt prefixes the way the companies' prompt caches do. OpenAI caches by itself, from 1,024 tokens on in steps of
/// 128; Anthropic caches up to the caller's breakpoints, from 1,024 tokens on. Nothing expires by time: entries leave when
/// newer ones need the room, so a run is repeatable.
/// </summary>
internal sealed class PromptPrefixCache(TokenCounter tokens)
{
    private const int MinimumTokens = 1024;
    private const int Step = 128;
    private const int MaxPrefixes = 500_000;

    private readonly Lock _gate = new();
    private HashSet<ulong> _young = [];
    private HashSet<ulong> _old = [];

    public int Count(List<PromptSegment> segments)
    {
        var total = 0;
        foreach (var segment in CollectionsMarshal.AsSpan(segments)) total += segment.Overhead + tokens.Count(segment.Text);
        return total;
    }

    /// <summary>Tokens of the longest prefix seen before in this scope (key and model); the whole prompt is seen afterwards.</summary>
    public int AutomaticHit(ulong scope, List<PromptSegment> segments, int promptTokens)
    {
        if (promptTokens < MinimumTokens) return 0;
        var (hash, position, hit) = (scope, 0, 0);
        lock (_gate)
        {
            foreach (var segment in CollectionsMarshal.AsSpan(segments))
            {
                hash = StableHash.Combine(hash, segment.Salt);
                for (var i = 0; i < segment.Overhead; i++) Advance(-1);
                foreach (var id in tokens.Ids(segment.Text)) Advance(id);
            }
        }

        return hit;

        void Advance(int id)
        {
            hash = (hash ^ (uint)id) * 1099511628211;
            position++;
            if (position >= MinimumTokens && position % Step == 0 && !Remember(hash)) hit = position;
        }
    }

    /// <summary>Tokens read from and written to the cache by explicit breakpoints.</summary>
    public (int Read, int Written) BreakpointHit(ulong scope, List<PromptSegment> segments)
    {
        var (hash, position, read, last) = (scope, 0, 0, 0);
        lock (_gate)
        {
            foreach (var segment in CollectionsMarshal.AsSpan(segments))
            {
                hash = StableHash.Combine(StableHash.Combine(hash, segment.Salt), StableHash.Of(segment.Text));
                position += segment.Overhead + tokens.Count(segment.Text);
                if (!segment.CacheBreakpoint || position < MinimumTokens) continue;
                if (!Remember(hash)) read = position;
                last = position;
            }
        }

        return (read, last - read);
    }

    /// <summary>False when it was there already.</summary>
    private bool Remember(ulong hash)
    {
        if (_young.Contains(hash)) return false;
        var known = _old.Contains(hash);
        if (_young.Count >= MaxPrefixes) (_old, _young) = (_young, []);
        _young.Add(hash);
        return !known;
    }
}
