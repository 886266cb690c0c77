using System.Collections.Frozen;
using AiAspire.Simulator.Generation;

namespace AiAspire.Simulator.Behaviours;

/// <summary>
/// How a model misbehaves. The default is a perfect, instant provider. Replacing a behaviour resets its counters, so the same
/// requests meet the same faults again.
/// </summary>
public sealed record Behaviour
{
    public static Behaviour Perfect { get; } = new();

    /// <summary>Time from the request to the response's first byte.</summary>
    public Latency Latency { get; init; } = Latency.None;

    /// <summary>From the response headers of a stream to its first content chunk, in ms; added to the latency of a plain reply.</summary>
    public double TimeToFirstTokenMs { get; init; }

    /// <summary>0: all at once.</summary>
    public double TokensPerSecond { get; init; }

    /// <summary>Share of requests answered by an HTTP status, 400–599; the shares sum to 1 at most.</summary>
    public IReadOnlyDictionary<int, double> ErrorRates { get; init; } = FrozenDictionary<int, double>.Empty;

    /// <summary>The next N requests fail with <see cref="ErrorStatus"/>.</summary>
    public int ErrorCount { get; init; }

    public int ErrorStatus { get; init; } = 500;

    /// <summary>Sent as <c>Retry-After</c> and <c>retry-after-ms</c> with injected 429, 503 and 529. Null: not sent.</summary>
    public double? RetryAfterSeconds { get; init; } = 1;

    /// <summary>Real limit per key; null: none.</summary>
    public int? RequestsPerMinute { get; init; }

    /// <summary>Real limit per key: the prompt counts on arrival, the answer when it has been generated.</summary>
    public int? TokensPerMinute { get; init; }

    /// <summary>Say nothing more after N content chunks; 0: not even headers.</summary>
    public int? HangAfterChunks { get; init; }

    /// <summary>Reset the TCP connection after N content chunks; 0: before the first byte.</summary>
    public int? ResetAfterChunks { get; init; }

    /// <summary>End the response cleanly after N content chunks, without finish reason and end mark.</summary>
    public int? CutAfterChunks { get; init; }

    /// <summary>Send one chunk of broken JSON after N content chunks, then go on.</summary>
    public int? MalformedChunkAfter { get; init; }

    /// <summary>Send an error event after N content chunks and end.</summary>
    public int? ErrorEventAfterChunks { get; init; }

    /// <summary>Break the JSON of a plain reply.</summary>
    public bool MalformedJson { get; init; }

    /// <summary>Share of requests that meet the faults above (hang … malformed JSON).</summary>
    public double FaultShare { get; init; } = 1;

    /// <summary>Only the next N of those requests meet them; null: all.</summary>
    public int? FaultCount { get; init; }

    /// <summary>Report no usage.</summary>
    public bool MissingUsage { get; init; }

    /// <summary>Reported tokens are the true ones times this, plus <see cref="UsageOffset"/>. The bill stays true.</summary>
    public double UsageFactor { get; init; } = 1;

    public int UsageOffset { get; init; }

    /// <summary>Share of prompts that get a wrong answer: always the same prompts for the same seed.</summary>
    public double QualityDrift { get; init; }

    public long Seed { get; init; }

    /// <summary>What the reply claims was used; null when it says nothing.</summary>
    internal TokenUsage? Report(TokenUsage truth)
    {
        if (MissingUsage) return null;
        if (UsageFactor == 1 && UsageOffset == 0) return truth;
        return truth with { Input = Wrong(truth.Input), Output = Wrong(truth.Output) };

        int Wrong(int tokens) => Math.Max(0, (int)Math.Round(tokens * UsageFactor) + UsageOffset);
    }
}
