using AiAspire.Core.Wire;
using Microsoft.Extensions.Options;

namespace AiAspire.Core.Routing;

/// <summary>What came of looking for a target.</summary>
/// <param name="Admission">Null: no target can be called now.</param>
/// <param name="Queue">Where to wait for one; null when waiting for a rate limit would not help: every target is broken or out.</param>
/// <param name="Wait">Until it is worth looking again; infinite when it never is.</param>
internal readonly record struct Pick(Admission? Admission, LaneQueue? Queue, TimeSpan Wait);

/// <summary>
/// Finds the first target of a route that may be called now: its breaker lets it pass, it is not cooling off, and its provider's rate
/// limit has room; of several keys the least busy one.
/// </summary>
public sealed class TargetPicker(
    TargetHealths healths, ProviderLimits limits, RoutingMetrics metrics, ProviderBook book, IOptions<RoutingOptions> options, Draw draw, TimeProvider time)
{
    /// <summary>Between two looks at a target whose own queue others lead.</summary>
    private static readonly TimeSpan LookAgain = TimeSpan.FromMilliseconds(50);

    internal RetryPolicy Retries { get; } = new(options.Value, draw);

    internal RoutingOptions Options => options.Value;

    internal RoutingMetrics Metrics => metrics;

    internal TimeProvider Time => time;

    internal TargetHealth Health(PricedTarget target) => healths.Of(target.Target);

    /// <param name="call">The call.</param>
    /// <param name="course">Which targets are not to be tried.</param>
    /// <param name="held">The queue whose head asks; null for a call that has not waited, and which goes before nobody who has.</param>
    internal async ValueTask<Pick> PickAsync(ChatCall call, RouteCourse course, LaneQueue? held)
    {
        var tokens = call.EstimatedInput + ((long)call.OutputCap * call.Request.Choices);
        List<(int Index, TargetHealth Health, Lane Lane)>? limited = null;
        LaneQueue? queue = null;
        var (broken, cooling) = (Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        for (var i = 0; i < call.Route.Count; i++)
        {
            if (course.Skips(i))
                continue;
            var health = healths.Of(call.Route[i].Target);
            var blocked = health.Breaker.Blocked();
            if (blocked > TimeSpan.Zero)
            {
                broken = Sooner(broken, blocked);
                continue;
            }

            if (health.Queue != held && health.Queue.Count > 0)
            {
                queue ??= health.Queue;
                cooling = Sooner(cooling, LookAgain);
                continue;
            }

            var lanes = health.Usable(out var wait);
            if (lanes.Length == 0)
            {
                if (wait != Timeout.InfiniteTimeSpan)
                    queue ??= health.Queue;
                cooling = Sooner(cooling, wait);
                continue;
            }

            if (limited is null && !lanes[0].IsLimited)
            {
                if (Admit(call, i, health, lanes[0], reserved: 0) is { } admission)
                    return new Pick(admission, null, TimeSpan.Zero);
                broken = Sooner(broken, LookAgain);
                continue;
            }

            queue ??= health.Queue;
            limited ??= [];
            limited.AddRange(lanes.Select(l => (i, health, l)));
            if (lanes.Any(l => !l.IsLimited))
                break;
        }

        if (limited is not null)
        {
            var (taken, wait) = await limits.TakeAsync([.. limited.Select(l => l.Lane)], tokens);
            if (taken >= 0)
            {
                var (index, health, lane) = limited[taken];
                if (Admit(call, index, health, lane, lane.IsLimited ? tokens : 0) is { } admission)
                    return new Pick(admission, null, TimeSpan.Zero);
                wait = LookAgain;
            }

            cooling = Sooner(cooling, wait);
        }

        return new Pick(null, queue, queue is null ? broken : cooling);
    }

    private Admission? Admit(ChatCall call, int index, TargetHealth health, Lane lane, long reserved)
        => health.Breaker.TryEnter() is { } pass ? new Admission(index, call.Route[index], health, lane, pass, limits, book, reserved) : null;

    private static TimeSpan Sooner(TimeSpan a, TimeSpan b)
        => a == Timeout.InfiniteTimeSpan ? b : b == Timeout.InfiniteTimeSpan ? a : a < b ? a : b;
}
