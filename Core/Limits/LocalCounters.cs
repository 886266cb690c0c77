namespace AiAspire.Core.Limits;

/// <summary>Counters in this process, for the time without Redis: a share of each limit, and nothing known of what others use.</summary>
internal sealed class LocalCounters(int sharePercent, TimeProvider time)
{
    private const int ManyCounters = 10_000;
    private readonly Lock _lock = new();
    private readonly Dictionary<string, (long Committed, DateTimeOffset Ends)> _counters = new(StringComparer.Ordinal);
    private readonly Dictionary<Guid, long> _granted = [];

    public (Reservation? Granted, LimitRefusal? Refused) Reserve(Guid requestId, IReadOnlyList<LimitWindow> windows, CallDemand demand)
    {
        lock (_lock)
        {
            DropEnded();
            var output = demand.OutputTokens;
            foreach (var window in windows)
            {
                var (input, each) = demand.In(window.Unit);
                var committed = _counters.GetValueOrDefault(window.Key).Committed;
                var left = (window.Limit / 100 * sharePercent) - committed - input;
                if (left < demand.LeastOutput * each)
                    return (null, new LimitRefusal(window, Math.Max(committed, window.Limit - (window.Limit / 100 * sharePercent) + committed)));
                if (each > 0)
                    output = Math.Min(output, left / each);
            }

            _granted[requestId] = output;
            Add(windows, window => Amount(window, demand, output));
            return (new Reservation(output, null), null);
        }
    }

    /// <returns>Whether the call had been reserved here.</returns>
    public bool Settle(Guid requestId, IReadOnlyList<LimitWindow> windows, CallDemand demand, CallUse used)
    {
        lock (_lock)
        {
            if (!_granted.Remove(requestId, out var output))
                return false;
            Add(windows, window => used.In(window.Unit) - Amount(window, demand, output));
            return true;
        }
    }

    private static long Amount(LimitWindow window, CallDemand demand, long output)
    {
        var (input, each) = demand.In(window.Unit);
        return input + (output * each);
    }

    private void Add(IReadOnlyList<LimitWindow> windows, Func<LimitWindow, long> amount)
    {
        foreach (var window in windows)
            _counters[window.Key] = (_counters.GetValueOrDefault(window.Key).Committed + amount(window), window.Ends);
    }

    private void DropEnded()
    {
        if (_counters.Count < ManyCounters)
            return;
        var now = time.GetUtcNow();
        foreach (var (key, counter) in _counters)
        {
            if (counter.Ends < now)
                _counters.Remove(key);
        }
    }
}
