namespace AiAspire.Core.Models;

/// <summary>Where the numbers of a <see cref="TokenUsage"/> came from, and so what they promise.</summary>
public enum UsageSource
{
    /// <summary>Reported by the provider: equal to its bill.</summary>
    Provider,

    /// <summary>Counted by us over what was delivered, since the provider's report never came (the stream was cut or cancelled).</summary>
    Delivered,

    /// <summary>Counted by us, since the provider's report cannot be true: what it bills is to be compared.</summary>
    Disputed,

    /// <summary>What was reserved: the process that made the call died, or nothing is known of the reply.</summary>
    Estimate,
}

/// <summary>
/// Tokens in disjoint classes, so that no token is charged twice. OpenAI's <c>prompt_tokens</c> includes cached ones and Anthropic's
/// <c>input_tokens</c> does not: the adapters bring both to this form.
/// </summary>
/// <param name="Input">Input tokens that were neither read from nor written to the provider's prompt cache.</param>
/// <param name="CachedInput">Input tokens read from the provider's prompt cache.</param>
/// <param name="CacheWrite">Input tokens written to the provider's prompt cache.</param>
/// <param name="Output">All output tokens, reasoning included.</param>
/// <param name="Reasoning">The part of <paramref name="Output"/> that was reasoning; charged as output.</param>
public readonly record struct TokenUsage(long Input, long CachedInput, long CacheWrite, long Output, long Reasoning)
{
    public long TotalInput => Input + CachedInput + CacheWrite;

    public long Total => TotalInput + Output;

    public static TokenUsage operator +(TokenUsage a, TokenUsage b) => new(
        a.Input + b.Input, a.CachedInput + b.CachedInput, a.CacheWrite + b.CacheWrite, a.Output + b.Output, a.Reasoning + b.Reasoning);

    public static TokenUsage Add(TokenUsage left, TokenUsage right) => left + right;
}
