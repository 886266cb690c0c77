using AiAspire.Core.Providers;
using AiAspire.Core.Wire;

namespace AiAspire.Core.Routing;

/// <summary>
/// Leave to make one attempt: the lane counts it in progress, the rate limit has its tokens, the breaker waits for its outcome.
/// Disposing gives back what was not used.
/// </summary>
internal sealed class Admission : IAsyncDisposable
{
    private readonly ProviderLimits _limits;
    private readonly ProviderBook _book;
    private readonly BreakerPass _pass;
    private readonly long _reserved;
    private bool _told;

    /// <param name="index">The target's place in the call's route.</param>
    /// <param name="target">The target.</param>
    /// <param name="health">The target's health.</param>
    /// <param name="lane">Whose key is sent.</param>
    /// <param name="pass">The breaker's leave.</param>
    /// <param name="limits">Where tokens are given back.</param>
    /// <param name="book">Where the outcome is counted.</param>
    /// <param name="reserved">Tokens taken from the lane's rate limit.</param>
    public Admission(int index, PricedTarget target, TargetHealth health, Lane lane, BreakerPass pass, ProviderLimits limits, ProviderBook book, long reserved)
    {
        (Index, Target, Health, Lane, _pass, _limits, _book, _reserved) = (index, target, health, lane, pass, limits, book, reserved);
        lane.Begin();
    }

    public int Index { get; }

    public PricedTarget Target { get; }

    public TargetHealth Health { get; }

    public Lane Lane { get; }

    /// <summary>What the attempt used, as far as is known.</summary>
    public long Used { get; set; }

    public void Succeeded() => Tell(error: null);

    public void Failed(ProviderException failure) => Tell(Health.Failed(Lane, failure) ? failure.Code : null);

    /// <param name="error">What speaks against the provider's health; null when nothing does.</param>
    private void Tell(string? error)
    {
        _told = true;
        _pass.Report(healthy: error is null);
        _book.Note(Target.Target.Provider, ProviderMinute.Attempts, error, Lane.Key.Key.Id);
    }

    public ValueTask DisposeAsync()
    {
        Lane.End();
        if (!_told)
            _pass.Abandon();
        return _limits.GiveBackAsync(Lane, _reserved - Used);
    }
}
