using AiAspire.Core.Models;
using Microsoft.Extensions.Options;
using Polly.CircuitBreaker;

namespace AiAspire.Core.Routing;

/// <summary>A key at one model, as this process sees it.</summary>
public sealed record LaneStatus(string Key, bool IsRefused, TimeSpan Cooling, int InFlight);

/// <summary>A model at one provider, as this process sees it.</summary>
public sealed record TargetStatus(ModelTarget Target, CircuitState Breaker, int Waiting, IReadOnlyList<LaneStatus> Lanes);

/// <summary>A key in use, without its secret.</summary>
public sealed record KeyStatus(Guid? Id, string Name, DateTimeOffset? AddedAt, bool IsRefused, DateTimeOffset? LastUsed);

/// <summary>What operators are shown of providers.</summary>
public sealed class ProviderStatus(ModelCatalog catalog, ProviderKeys keys, TargetHealths healths, IOptions<RoutingOptions> options, TimeProvider time)
{
    public TimeSpan KeyMaxAge => TimeSpan.FromDays(options.Value.KeyMaxAgeDays);

    public double? AgeDays(DateTimeOffset? addedAt) => addedAt is { } at ? Math.Round((time.GetUtcNow() - at).TotalDays, 2) : null;

    public bool IsDue(DateTimeOffset? addedAt) => time.GetUtcNow() - addedAt > KeyMaxAge;

    /// <summary>The targets of a provider; none when it has no key.</summary>
    public IReadOnlyList<TargetStatus> Targets(string provider)
        => [.. catalog.Targets.Where(t => t.Provider == provider).Select(t => healths.Of(t)).Select(h => new TargetStatus(
            h.Target, h.Breaker.State, h.Queue.Count, [.. h.Lanes.Select(l => new LaneStatus(l.Key.Key.Name, l.Key.IsRefused, l.Cooling(), l.InFlight))]))];

    public IReadOnlyList<KeyStatus> Keys(string provider)
        => [.. keys.Of(provider).Select(k => new KeyStatus(k.Key.Id, k.Key.Name, k.Key.AddedAt, k.IsRefused, k.LastUsed))];
}
