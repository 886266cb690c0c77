using System.Collections.Concurrent;

namespace AiAspire.Simulator.Tokens;

/// <summary>
/// A bounded cache without bookkeeping per hit: when the young generation is full it becomes the old one, and what was not
/// asked for since then is forgotten. It holds at most twice its limit.
/// </summary>
internal sealed class TwoGenerationCache<TValue>(long maxWeight)
    where TValue : class
{
    private ConcurrentDictionary<string, TValue> _young = new(StringComparer.Ordinal);
    private ConcurrentDictionary<string, TValue> _old = new(StringComparer.Ordinal);
    private long _youngWeight;

    public TValue GetOrAdd(string key, Func<string, TValue> create)
    {
        if (_young.TryGetValue(key, out var value)) return value;
        if (!_old.TryGetValue(key, out value)) value = create(key);
        // One huge text must not push out everything else.
        if (key.Length > maxWeight / 8) return value;
        if (_young.TryAdd(key, value) && Interlocked.Add(ref _youngWeight, key.Length + 64) > maxWeight) Turn();
        return value;
    }

    private void Turn()
    {
        // The first thread past the limit turns; the others see a small weight again.
        if (Interlocked.Exchange(ref _youngWeight, 0) <= maxWeight) return;
        _old = _young;
        _young = new(StringComparer.Ordinal);
    }
}
