using System.Text.Json.Serialization;
using AiAspire.Simulator.Generation;

namespace AiAspire.Simulator.Billing;

internal enum BillStatus
{
    [JsonStringEnumMemberName("completed")]
    Completed,

    /// <summary>The client left; what was generated until then is billed.</summary>
    [JsonStringEnumMemberName("aborted")]
    Aborted,

    /// <summary>Refused, failed, or ended by an injected fault.</summary>
    [JsonStringEnumMemberName("faulted")]
    Faulted,
}

/// <summary>One request, as the company's accounting sees it.</summary>
internal sealed class BillLine
{
    private int _status;
    private int _deliveredChunks;

    /// <summary>The id in the response body (<c>chatcmpl-sim…</c>, <c>msg_sim…</c>); null when nothing was generated.</summary>
    public string? ResponseId { get; init; }

    public required string RequestId { get; init; }

    /// <summary>The caller's <c>X-Client-Request-Id</c>.</summary>
    public string? ClientRequestId { get; init; }

    /// <summary>Start of the key's SHA-256, and its last characters: enough to tell keys apart, too little to use one.</summary>
    public required string Key { get; init; }

    /// <summary>Null when the request named no model of ours.</summary>
    public string? Model { get; init; }

    public required string Endpoint { get; init; }

    public bool Stream { get; init; }

    public TokenUsage Tokens { get; init; }

    public required bool Billed { get; init; }

    public required int HttpStatus { get; init; }

    /// <summary>What was injected or refused: <c>error_429</c>, <c>rate_limit</c>, <c>reset</c>, <c>cut</c>, …</summary>
    public string? Fault { get; init; }

    public required DateTimeOffset StartedAt { get; init; }

    public required DateTimeOffset FinishedAt { get; init; }

    public required BillStatus Status
    {
        get => (BillStatus)Volatile.Read(ref _status);
        init => _status = (int)value;
    }

    /// <summary>Content chunks handed to the connection; 1 for a plain reply.</summary>
    public int DeliveredChunks
    {
        get => Volatile.Read(ref _deliveredChunks);
        init => _deliveredChunks = value;
    }

    /// <summary>The line is written before the last byte, so that a client that has its answer finds it; if that byte could not be sent, it says so.</summary>
    public void LastBytesWereRefused(int deliveredChunks)
    {
        Volatile.Write(ref _deliveredChunks, deliveredChunks);
        Volatile.Write(ref _status, (int)BillStatus.Aborted);
    }
}

/// <summary>Sums of one model.</summary>
internal sealed class BillTotal
{
    public int Requests { get; set; }

    public int Billed { get; set; }

    public long Input { get; set; }

    public long CachedInput { get; set; }

    public long CacheWrite { get; set; }

    public long Output { get; set; }

    public long Reasoning { get; set; }

    public void Add(BillLine line)
    {
        Requests++;
        if (!line.Billed) return;
        Billed++;
        Input += line.Tokens.Input;
        CachedInput += line.Tokens.CachedInput;
        CacheWrite += line.Tokens.CacheWrite;
        Output += line.Tokens.Output;
        Reasoning += line.Tokens.Reasoning;
    }
}

/// <param name="Matched">Lines that fit the query; <paramref name="Totals"/> cover all of them, <paramref name="Lines"/> at most the limit, newest last.</param>
/// <param name="Dropped">Lines lost since the bill was cleared, because it was full. Not 0: the bill is no proof.</param>
internal sealed record BillAnswer(IReadOnlyList<BillLine> Lines, int Matched, long Dropped, IReadOnlyDictionary<string, BillTotal> Totals)
{
    [JsonIgnore]
    public const string NoModel = "none";
}
