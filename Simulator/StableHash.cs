namespace AiAspire.Simulator;

/// <summary>Hashes that are the same in every process and on every machine: replies, drift and injected errors hang on them.</summary>
internal static class StableHash
{
    private const ulong FnvOffset = 14695981039346656037;
    private const ulong FnvPrime = 1099511628211;

    /// <summary>FNV-1a over UTF-16 units, finished with an avalanche so that every bit is usable.</summary>
    public static ulong Of(ReadOnlySpan<char> text, ulong seed = 0)
    {
        var hash = FnvOffset ^ Mix(seed);
        foreach (var unit in text) hash = (hash ^ unit) * FnvPrime;
        return Mix(hash);
    }

    /// <summary>The finalizer of SplitMix64 (Steele, Lea, Flood 2014).</summary>
    public static ulong Mix(ulong value)
    {
        value += 0x9E3779B97F4A7C15;
        value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9;
        value = (value ^ (value >> 27)) * 0x94D049BB133111EB;
        return value ^ (value >> 31);
    }

    public static ulong Combine(ulong left, ulong right) => Mix(left ^ (right * FnvPrime));

    /// <summary>Maps a hash to [0, 1).</summary>
    public static double Unit(ulong hash) => (hash >> 11) * (1.0 / (1UL << 53));
}
