namespace AiAspire.Workers.Jobs;

/// <summary>
/// How many jobs to run at once: half as many when a provider is overloaded, and one more for each round of jobs that went well. Additive
/// increase, multiplicative decrease (RFC 5681 §3.1): many workers share a provider's limit without knowing of one another. Never fewer than eight, if it may
/// have so many.
/// </summary>
internal sealed class AdaptiveConcurrency(int most, TimeProvider time)
{
    // Jobs that were under way together tell of the same overload: it halves once.
    private static readonly TimeSpan Grace = TimeSpan.FromSeconds(2);

    // One provider's overload slows down jobs that go to others, and with fewer slots than these one tenant may fill them all (ClaimRequest.TenantShare).
    private const int Fewest = 8;

    private readonly Lock _lock = new();
    private double _limit = most;
    private DateTimeOffset _lastCut = DateTimeOffset.MinValue;

    public int Current
    {
        get
        {
            lock (_lock)
                return (int)_limit;
        }
    }

    public void Throttled()
    {
        lock (_lock)
        {
            var now = time.GetUtcNow();
            if (now - _lastCut < Grace)
                return;
            _lastCut = now;
            _limit = Math.Max(Math.Min(most, Fewest), _limit / 2);
        }
    }

    public void WentWell()
    {
        lock (_lock)
            _limit = Math.Min(most, _limit + (1 / _limit));
    }
}
