using AiAspire.Core.Wire;
using Microsoft.Extensions.Options;

namespace AiAspire.Core.Routing;

/// <summary>What came of looking for a target.</summary>
/// <param name="Admission">Null: no target can be called now.</param>
/// <param name="Queue">Where to wait for one; null when waiting for a rate limit would not help: every target is broken or out.</param>
/// <param name="Wait">Until it is worth looking again; infinite when it never is.</param>
internal readonly record struct Pick(Admission? Admission, LaneQueue? Queue, TimeSpan Wait);

/// <summary>What a look at the route shows.</summary>
/// <param name="Pick">What came of it, if no limited lane has room.</param>
/// <param name="Limited">Lanes in the route's order, for which the rate limit must be asked; null: it need not.</param>
internal readonly record struct Look(Pick Pick, List<(int Index, TargetHealth Health, Lane Lane)>? Limited);

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
        HashSet<int>? shut = null;
        while (true)
        {
            var look = GoThrough(call, course, held, shut);
            if (look.Limited is null)
                return look.Pick;
            var (taken, wait) = await limits.TakeAsync([.. look.Limited.Select(l => l.Lane)], tokens);
            if (taken < 0)
                return look.Pick with { Wait = Sooner(look.Pick.Wait, wait) };
            var (index, health, lane) = look.Limited[taken];
            if (Admit(call, index, health, lane, lane.IsLimited ? tokens : 0) is { } admission)
                return new Pick(admission, null, TimeSpan.Zero);
            // While the rate limit was asked, the breaker opened or another call became its probe. Nothing is sent there, so nothing is
            // spent, and the other targets may do.
            await limits.ReturnAsync(lane, tokens);
            (shut ??= []).Add(index);
        }
    }

    /// <summary>Goes through the route as far as that needs no question to the rate limit.</summary>
    /// <param name="call">The call.</param>
    /// <param name="course">Which targets are not to be tried.</param>
    /// <param name="held">The queue whose head asks.</param>
    /// <param name="shut">Whose breaker refused the call a moment ago.</param>
    private Look GoThrough(ChatCall call, RouteCourse course, LaneQueue? held, HashSet<int>? shut)
    {
        List<(int Index, TargetHealth Health, Lane Lane)>? limited = null;
        LaneQueue? queue = null;
        var (broken, cooling) = (Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        for (var i = 0; i < call.Route.Count; i++)
        {
            if (course.Skips(i))
                continue;
            if (shut?.Contains(i) ?? false)
            {
                broken = Sooner(broken, LookAgain);
                continue;
            }

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

            var lanes = health.Usable(out var wait, course.AskedLanes);
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
                    return new Look(new Pick(admission, null, TimeSpan.Zero), null);
                broken = Sooner(broken, LookAgain);
                continue;
            }

            queue ??= health.Queue;
            limited ??= [];
            limited.AddRange(lanes.Select(l => (i, health, l)));
            if (lanes.Any(l => !l.IsLimited))
                break;
        }

        return new Look(new Pick(null, queue, queue is null ? broken : cooling), limited);
    }

    private Admission? Admit(ChatCall call, int index, TargetHealth health, Lane lane, long reserved)
        => health.Breaker.TryEnter() is { } pass ? new Admission(index, call.Route[index], health, lane, pass, limits, book, reserved) : null;

    private static TimeSpan Sooner(TimeSpan a, TimeSpan b)
        => a == Timeout.InfiniteTimeSpan ? b : b == Timeout.InfiniteTimeSpan ? a : a < b ? a : b;
}
