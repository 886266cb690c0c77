using System.Collections.Concurrent;

namespace AiAspire.Simulator.Behaviours;

/// <summary>The state of one limit when a request was judged.</summary>
internal readonly record struct LimitView(int Limit, int Remaining, TimeSpan UntilFull);

/// <param name="RetryAfter">Zero when admitted.</param>
/// <param name="Exceeded"><c>requests</c> or <c>tokens</c>, null when admitted.</param>
/// <param name="TooLarge">The request can never pass: it asks for more tokens than a minute holds.</param>
internal sealed record LimitVerdict(LimitView? Requests, LimitView? Tokens, TimeSpan RetryAfter, string? Exceeded, int Asked, bool TooLarge);

/// <summary>Requests and tokens per minute and key, as token buckets that refill continuously.</summary>
internal sealed class RateLimits(Behaviour behaviour, TimeProvider time)
{
    private const int MaxKeys = 10_000;

    private readonly ConcurrentDictionary<string, Buckets> _keys = new(StringComparer.Ordinal);

    public LimitVerdict Admit(string key, int promptTokens)
    {
        // Keys come from callers: without a bound they would be a way to fill the memory.
        if (_keys.Count >= MaxKeys) _keys.Clear();
        var buckets = _keys.GetOrAdd(key, _ => new Buckets(behaviour, time.GetTimestamp()));
        lock (buckets)
        {
            Refill(buckets);
            var (requests, tokens) = (buckets.Requests, buckets.Tokens);
            if (requests is { Level: < 1 }) return Refuse(buckets, "requests", requests.TimeFor(1), 1, tooLarge: false);
            if (tokens is not null && tokens.Level < promptTokens)
            {
                var tooLarge = promptTokens > tokens.Capacity;
                return Refuse(buckets, "tokens", tokens.TimeFor(tooLarge ? tokens.Capacity : promptTokens), promptTokens, tooLarge);
            }

            if (requests is not null) requests.Level--;
            if (tokens is not null) tokens.Level -= promptTokens;
            return new LimitVerdict(requests?.View(), tokens?.View(), TimeSpan.Zero, null, 0, TooLarge: false);
        }
    }

    /// <summary>The answer's tokens are known only now; the bucket may fall below zero, later requests wait for it.</summary>
    public void Spend(string key, int tokens)
    {
        if (tokens == 0 || !_keys.TryGetValue(key, out var buckets) || buckets.Tokens is null) return;
        lock (buckets) buckets.Tokens.Level -= tokens;
    }

    private void Refill(Buckets buckets)
    {
        var now = time.GetTimestamp();
        var minutes = time.GetElapsedTime(buckets.FilledAt, now).TotalMinutes;
        buckets.FilledAt = now;
        buckets.Requests?.Fill(minutes);
        buckets.Tokens?.Fill(minutes);
    }

    private static LimitVerdict Refuse(Buckets buckets, string exceeded, TimeSpan retryAfter, int asked, bool tooLarge)
        => new(buckets.Requests?.View(), buckets.Tokens?.View(), retryAfter, exceeded, asked, tooLarge);

    private sealed class Buckets(Behaviour behaviour, long now)
    {
        public long FilledAt { get; set; } = now;

        public Bucket? Requests { get; } = behaviour.RequestsPerMinute is { } perMinute ? new Bucket(perMinute) : null;

        public Bucket? Tokens { get; } = behaviour.TokensPerMinute is { } perMinute ? new Bucket(perMinute) : null;
    }

    private sealed class Bucket(int capacity)
    {
        public int Capacity { get; } = capacity;

        public double Level { get; set; } = capacity;

        public void Fill(double minutes) => Level = Math.Min(Capacity, Level + (minutes * Capacity));

        public TimeSpan TimeFor(double level) => TimeSpan.FromMinutes(Math.Max(0, level - Level) / Capacity);

        public LimitView View() => new(Capacity, Math.Max(0, (int)Level), TimeFor(Capacity));
    }
}
