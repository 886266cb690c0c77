namespace AiAspire.Simulator.OpenAi;

/// <summary>
/// A vector without a model: words, pairs of words and letter triples are hashed to signed positions (feature hashing,
/// Weinberger et al. 2009), so texts that share them lie near each other. Length 1 in the Euclidean norm.
/// </summary>
internal static class HashedEmbedding
{
    public const int DefaultDimensions = 1536;

    private const float WordWeight = 1f;
    private const float PairWeight = 0.5f;
    private const float TripleWeight = 0.35f;

    /// <summary>Articles and prepositions say little about what a text is about, and they are short.</summary>
    private const int ShortWord = 3;
    private const float ShortWordWeight = 0.25f;

    /// <summary>A real vector has no zeros: a whisper of noise, from the text alone, fills them.</summary>
    private const float Noise = 0.02f;

    public static float[] Of(string text, int dimensions)
    {
        var vector = new float[dimensions];
        ulong previous = 0;
        foreach (var word in Words(text))
        {
            var hash = StableHash.Of(word);
            var weight = word.Length <= ShortWord ? ShortWordWeight : 1f;
            Add(vector, hash, weight * WordWeight);
            if (previous != 0) Add(vector, StableHash.Combine(previous, hash), weight * PairWeight);
            previous = hash;
            var padded = $"^{word}$";
            for (var i = 0; i + 3 <= padded.Length; i++) Add(vector, StableHash.Of(padded.AsSpan(i, 3), seed: 3), weight * TripleWeight);
        }

        Normalise(vector);
        AddNoise(vector, StableHash.Of(text));
        Normalise(vector);
        return vector;
    }

    private static void Add(float[] vector, ulong hash, float weight)
    {
        // Several positions per feature keep accidental meetings of two features harmless.
        for (var i = 0; i < 4; i++)
        {
            hash = StableHash.Mix(hash + (ulong)i);
            vector[(hash >> 1) % (ulong)vector.Length] += (hash & 1) == 0 ? weight : -weight;
        }
    }

    private static void AddNoise(float[] vector, ulong seed)
    {
        var scale = Noise / MathF.Sqrt(vector.Length);
        for (var i = 0; i < vector.Length; i++)
            vector[i] += scale * ((float)(2 * StableHash.Unit(StableHash.Combine(seed, (ulong)i))) - 1);
    }

    private static void Normalise(float[] vector)
    {
        var squares = 0.0;
        foreach (var value in vector) squares += value * value;
        if (squares == 0) return;
        var factor = (float)(1 / Math.Sqrt(squares));
        for (var i = 0; i < vector.Length; i++) vector[i] *= factor;
    }

    private static IEnumerable<string> Words(string text)
    {
        var lower = text.ToLowerInvariant();
        for (var start = 0; start < lower.Length;)
        {
            var end = start;
            while (end < lower.Length && (char.IsLetterOrDigit(lower[end]) || char.IsSurrogate(lower[end]))) end++;
            if (end > start) yield return lower[start..end];
            start = end + 1;
        }
    }
}
