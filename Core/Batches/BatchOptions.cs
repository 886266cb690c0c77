using System.ComponentModel.DataAnnotations;

namespace AiAspire.Core.Batches;

/// <summary>Section <c>Batches</c>.</summary>
public sealed class BatchOptions
{
    public const string Section = "Batches";

    /// <summary>Requests of one batch. Default 50,000, as OpenAI takes.</summary>
    [Range(1, 1_000_000)]
    public int MaxLines { get; init; } = 50_000;

    /// <summary>Bytes of one line; a longer one goes to the error file. Default 1 MiB.</summary>
    [Range(1024, 1 << 28)]
    public int MaxLineBytes { get; init; } = 1024 * 1024;

    /// <summary>Lines that one job does at most. Default 100: a batch of 50,000 is 500 jobs.</summary>
    [Range(1, 10_000)]
    public int LinesPerJob { get; init; } = 100;

    /// <summary>Seconds after which such a job lets others have its turn, and goes on when it is its own again. Default 2.</summary>
    [Range(0.05, 600)]
    public double SliceSeconds { get; init; } = 2;

    /// <summary>Seconds between two looks at how a batch stands, beneath the word of its last job. Default 5.</summary>
    [Range(0.05, 600)]
    public double LookSeconds { get; init; } = 5;
}
