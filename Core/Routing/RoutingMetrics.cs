using System.Diagnostics;
using System.Diagnostics.Metrics;
using AiAspire.Core.Wire;
using Microsoft.Extensions.DependencyInjection;
using Polly.CircuitBreaker;

namespace AiAspire.Core.Routing;

/// <summary>What routing does, by provider and model.</summary>
public sealed class RoutingMetrics
{
    public const string MeterName = "AiAspire.Routing";

    private readonly Counter<long> _retries;
    private readonly Counter<long> _fallbacks;
    private readonly Histogram<double> _queued;
    private readonly Counter<long> _disputed;

    public RoutingMetrics(IMeterFactory meters, IServiceProvider services)
    {
        var meter = meters.Create(MeterName);
        _retries = meter.CreateCounter<long>("provider.retries_total", "{attempt}", "Attempts at a target that had just failed, by the failure.");
        _fallbacks = meter.CreateCounter<long>("provider.fallbacks_total", "{attempt}", "Attempts at another target than the one before, by the failure.");
        _queued = meter.CreateHistogram<double>("provider.queue_ms", "ms", "Waits for a provider's rate limit or cooldown.");
        _disputed = meter.CreateCounter<long>("provider.usage_disputed_total", "{attempt}", "Attempts whose provider reported a usage that cannot be true, by what is wrong with it.");
        // Asked for when read: what is observed here is made after the metrics are.
        meter.CreateObservableGauge(
            "provider.breaker_state",
            () => services.GetRequiredService<TargetHealths>().All.Select(h => new Measurement<int>(
                StateNumber(h.Breaker.State), new("provider", h.Target.Provider), new("model", h.Target.Model.Id))),
            description: "0 closed, 1 half open, 2 open.");
        meter.CreateObservableGauge(
            "provider.queue_length",
            () => services.GetRequiredService<TargetHealths>().All.Select(h => new Measurement<int>(
                h.Queue.Count, new("provider", h.Target.Provider), new("model", h.Target.Model.Id))),
            "{request}",
            "Requests waiting for a target's rate limit or cooldown.");
        meter.CreateObservableGauge(
            "provider.limits_degraded",
            () => services.GetRequiredService<ProviderLimits>().IsDegraded ? 1 : 0,
            description: "1: Redis is away, and this process keeps to its share of the providers' rate limits.");
        meter.CreateObservableGauge(
            "provider.key_age_days",
            () => services.GetRequiredService<ProviderKeys>().All.Where(k => k.Key.AddedAt is not null).Select(k => new Measurement<double>(
                (services.GetRequiredService<TimeProvider>().GetUtcNow() - k.Key.AddedAt!.Value).TotalDays, new("provider", k.Key.Provider), new("key", k.Key.Name))),
            "d",
            "Age of each added key in use.");
    }

    internal void Retried(PricedTarget target, string? reason)
        => _retries.Add(1, new TagList { { "provider", target.Target.Provider }, { "model", target.Target.Model.Id }, { "error.code", reason } });

    internal void FellBack(PricedTarget from, PricedTarget to, string? reason)
        => _fallbacks.Add(1, new TagList
        {
            { "provider", from.Target.Provider }, { "model", from.Target.Model.Id }, { "fallback.provider", to.Target.Provider }, { "error.code", reason },
        });

    internal void Disputed(PricedTarget target, string reason)
        => _disputed.Add(1, new TagList { { "provider", target.Target.Provider }, { "model", target.Target.Model.Id }, { "reason", reason } });

    internal void Queued(PricedTarget target, TimeSpan wait)
        => _queued.Record(wait.TotalMilliseconds, new TagList { { "provider", target.Target.Provider }, { "model", target.Target.Model.Id } });

    private static int StateNumber(CircuitState state) => state switch
    {
        CircuitState.Closed => 0,
        CircuitState.HalfOpen => 1,
        _ => 2,
    };
}
