namespace AiAspire.Core.Routing;

/// <summary>Uniform in [0, 1). Injected, so that tests know the draws; thread-safe.</summary>
public delegate double Draw();

/// <summary>How long to wait before a target that failed is tried again, and whether the process can afford it.</summary>
internal sealed class RetryPolicy(RoutingOptions options, Draw draw)
{
    private readonly Lock _lock = new();
    private double _saved = options.RetryReserve;

    public int MaxRetries => options.MaxRetries;

    /// <summary>Every request earns a part of a retry.</summary>
    public void Earn()
    {
        lock (_lock)
            _saved = Math.Min(options.RetryReserve, _saved + options.RetryRatio);
    }

    /// <summary>Takes one retry from what was earned; false: an outage would be amplified.</summary>
    public bool TrySpend()
    {
        lock (_lock)
        {
            if (_saved < 1)
                return false;
            _saved--;
            return true;
        }
    }

    /// <summary>
    /// Full jitter: uniform from 0 to the exponential bound, so that callers who failed together do not come back together
    /// (Brooker, "Exponential Backoff And Jitter", 2015).
    /// </summary>
    /// <param name="retry">0 for the first.</param>
    public TimeSpan Backoff(int retry)
        => TimeSpan.FromSeconds(draw() * Math.Min(options.MaxBackoffSeconds, options.BackoffSeconds * Math.Pow(2, retry)));
}
