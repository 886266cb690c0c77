using System.Text.Json.Serialization;

namespace AiAspire.Simulator.Generation;

/// <summary>Tokens in the classes a company bills by.</summary>
/// <param name="Input">Prompt tokens that were neither read from nor written to the cache.</param>
/// <param name="Output">All generated tokens, <paramref name="Reasoning"/> among them.</param>
internal readonly record struct TokenUsage(int Input, int CachedInput, int CacheWrite, int Output, int Reasoning)
{
    [JsonIgnore]
    public int Prompt => Input + CachedInput + CacheWrite;

    [JsonIgnore]
    public int Total => Prompt + Output;
}
