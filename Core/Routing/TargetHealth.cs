using System.Collections.Concurrent;
using AiAspire.Core.Models;
using AiAspire.Core.Providers;
using Microsoft.Extensions.Options;

namespace AiAspire.Core.Routing;

/// <summary>What this process knows of one target: its breaker, its lanes (one per key), and who waits for it.</summary>
internal sealed class TargetHealth
{
    private readonly ProviderKeys _keys;
    private readonly RoutingOptions _options;
    private readonly TimeProvider _time;
    private volatile ModelTarget _target;
    private volatile LaneSet _lanes;

    public TargetHealth(ModelTarget target, ProviderKeys keys, RoutingOptions options, TimeProvider time)
    {
        (_target, _keys, _options, _time) = (target, keys, options, time);
        Breaker = new TargetBreaker(options, time);
        Queue = new LaneQueue(options.QueueLength);
        _lanes = new LaneSet([], []);
    }

    public ModelTarget Target => _target;

    public TargetBreaker Breaker { get; }

    public LaneQueue Queue { get; }

    public IReadOnlyList<Lane> Lanes => Current().Lanes;

    /// <summary>The usable lanes, those with the fewest calls in progress first.</summary>
    /// <param name="wait">When none is usable: until one cools off; <see cref="Timeout.InfiniteTimeSpan"/> when none will.</param>
    /// <param name="except">Lanes that are none of the caller's.</param>
    public Lane[] Usable(out TimeSpan wait, IReadOnlySet<Lane>? except = null)
    {
        var lanes = Current().Lanes;
        if (except is not null)
            lanes = [.. lanes.Where(l => !except.Contains(l))];
        wait = TimeSpan.Zero;
        // Nearly always there is one key, and it is fine: no sorting then.
        if (lanes.Length == 1 && !lanes[0].Key.IsRefused && lanes[0].Cooling() == TimeSpan.Zero)
            return lanes;
        Lane[] usable = [.. lanes.Where(l => !l.Key.IsRefused && l.Cooling() == TimeSpan.Zero).OrderBy(l => l.InFlight)];
        if (usable.Length == 0)
        {
            var cooling = lanes.Where(l => !l.Key.IsRefused).Select(l => l.Cooling()).DefaultIfEmpty(Timeout.InfiniteTimeSpan).Min();
            wait = cooling == TimeSpan.Zero ? TimeSpan.FromMilliseconds(1) : cooling;
        }

        return usable;
    }

    /// <summary>The model's limits or its provider's name of it have changed; calls in progress stay counted.</summary>
    public void Retarget(ModelTarget target)
    {
        if (_target == target)
            return;
        _target = target;
        foreach (var lane in _lanes.Lanes)
            lane.Retarget(target);
    }

    /// <summary>Takes note of a failure on a lane.</summary>
    /// <returns>Whether the failure speaks against the target's health, for its breaker.</returns>
    public bool Failed(Lane lane, ProviderException failure)
    {
        switch (failure.Code)
        {
            case "refused":
                return false;
            case "rate_limited":
                lane.Cool(failure.RetryAfter ?? TimeSpan.FromSeconds(_options.DefaultCooldownSeconds));
                return false;
            case "auth_failed" when failure.Status == 401:
                _keys.Refused(lane.Key);
                return false;
            default:
                if (failure.RetryAfter is { } wait)
                    foreach (var each in Current().Lanes)
                        each.Cool(wait);
                return true;
        }
    }

    private LaneSet Current()
    {
        var keys = _keys.Of(_target.Provider);
        var lanes = _lanes;
        if (ReferenceEquals(lanes.Keys, keys))
            return lanes;
        // A lane of a key that stays keeps its counts.
        lanes = new LaneSet(keys, [.. keys.Select(k => Array.Find(lanes.Lanes, l => l.Key == k) ?? new Lane(_target, k, _options, _time))]);
        _lanes = lanes;
        return lanes;
    }

    private sealed record LaneSet(KeyState[] Keys, Lane[] Lanes);
}

/// <summary>The health of every target that was ever asked for; bounded by the catalog.</summary>
public sealed class TargetHealths(ProviderKeys keys, IOptions<RoutingOptions> options, TimeProvider time)
{
    private readonly ConcurrentDictionary<(string Provider, string Model), TargetHealth> _health = new();

    internal IEnumerable<TargetHealth> All => _health.Values;

    /// <summary>Takes in the catalog's targets as they are now.</summary>
    internal void Retarget(IEnumerable<ModelTarget> targets)
    {
        foreach (var target in targets)
        {
            if (_health.TryGetValue((target.Provider, target.Model.Id), out var known))
                known.Retarget(target);
        }
    }

    internal TargetHealth Of(ModelTarget target)
        => _health.TryGetValue((target.Provider, target.Model.Id), out var known)
            ? known
            : _health.GetOrAdd((target.Provider, target.Model.Id), _ => new TargetHealth(target, keys, options.Value, time));
}
