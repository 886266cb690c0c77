using AiAspire.Core.Providers;
using AiAspire.Core.Wire;

namespace AiAspire.Core.Routing;

/// <summary>
/// One call's way through its targets. A failure moves on to the next target at once; when none is left, the round begins again after a
/// wait, as often as the retry policy allows and the deadline has room for.
/// </summary>
internal sealed class RouteCourse(ChatCall call, TargetPicker picker)
{
    /// <summary>Failed in this round.</summary>
    private HashSet<int>? _failed;

    /// <summary>Not worth another try in this call.</summary>
    private HashSet<int>? _out;

    /// <summary>
    /// Failed in this round, though another key of their target may do. Kept until the round ends: a key that has cooled off meanwhile
    /// is a retry like any other, or two keys that are limited for a moment each would be asked in turn without end.
    /// </summary>
    private HashSet<Lane>? _askedLanes;

    private ProviderException? _last;
    private TimeSpan _wait;
    private int _retries;

    /// <summary>What the deadline leaves.</summary>
    public TimeSpan Left => TimeSpan.FromSeconds(picker.Options.DeadlineSeconds) - picker.Time.GetElapsedTime(call.StartTimestamp);

    /// <summary>Keys not to be tried, of targets that may be; null: none.</summary>
    public IReadOnlySet<Lane>? AskedLanes => _askedLanes;

    public bool Skips(int target) => (_failed?.Contains(target) ?? false) || (_out?.Contains(target) ?? false);

    /// <summary>Gets leave for the next attempt, waiting for it if need be.</summary>
    /// <exception cref="WireException">No target can be called in time.</exception>
    public async ValueTask<Admission> NextAsync(CancellationToken cancellationToken)
    {
        if (_last is null)
            picker.Retries.Earn();
        if (_wait > TimeSpan.Zero)
            await Task.Delay(_wait, picker.Time, cancellationToken);
        _wait = TimeSpan.Zero;
        var pick = await picker.PickAsync(call, this, held: null);
        var admission = pick.Admission ?? await WaitAsync(pick, cancellationToken);
        Count(admission);
        return admission;
    }

    /// <summary>Takes note of a failed attempt.</summary>
    /// <returns>Whether there is another attempt to make.</returns>
    public bool GoesOn(Admission failed, ProviderException failure)
    {
        _last = failure;
        // What is about one key only: another of the same provider may do. It has not been asked, so it is no retry.
        if (failure is { Code: "auth_failed", Status: 401 } or { Code: "rate_limited" })
        {
            (_askedLanes ??= []).Add(failed.Lane);
            if (IsUsable(failed.Health))
                return true;
        }

        (_failed ??= []).Add(failed.Index);
        if (failure.Code is "model_unavailable" || (failure.Code is "auth_failed" && !HasKeyLeft(failed.Health, failure)))
            (_out ??= []).Add(failed.Index);
        for (var i = 0; i < call.Route.Count; i++)
        {
            if (!Skips(i) && IsUsable(picker.Health(call.Route[i])))
                return true;
        }

        if (_out?.Count == call.Route.Count || _retries >= picker.Retries.MaxRetries || !picker.Retries.TrySpend())
            return false;
        _wait = picker.Retries.Backoff(_retries++);
        _failed = null;
        _askedLanes = null;
        return _wait < Left;
    }

    /// <summary>A key that was refused says nothing of one that only cools off.</summary>
    private static bool HasKeyLeft(TargetHealth health, ProviderException failure)
        => failure.Status == 401 && (health.Usable(out var wait).Length > 0 || wait != Timeout.InfiniteTimeSpan);

    private bool IsUsable(TargetHealth health) => health.Breaker.Blocked() == TimeSpan.Zero && health.Usable(out _, _askedLanes).Length > 0;

    private async Task<Admission> WaitAsync(Pick pick, CancellationToken cancellationToken)
    {
        if (pick.Queue is null)
            throw Unavailable(pick.Wait);
        var started = picker.Time.GetTimestamp();
        using var place = pick.Queue.Enter(call.Caller.TenantId) ?? throw RouteErrors.RateLimited(pick.Wait);
        try
        {
            if (WaitLeft(started) is var left && left <= TimeSpan.Zero)
                throw RouteErrors.RateLimited(pick.Wait);
            await place.Turn.WaitAsync(left, picker.Time, cancellationToken);
            while (true)
            {
                var again = await picker.PickAsync(call, this, pick.Queue);
                if (again.Admission is { } admission)
                    return admission;
                if (again.Queue is null)
                    throw Unavailable(again.Wait);
                if (again.Wait == Timeout.InfiniteTimeSpan || again.Wait > WaitLeft(started))
                    throw RouteErrors.RateLimited(again.Wait);
                await Task.Delay(again.Wait, picker.Time, cancellationToken);
            }
        }
        catch (TimeoutException)
        {
            throw RouteErrors.RateLimited(pick.Wait);
        }
        finally
        {
            picker.Metrics.Queued(call.Route[0], picker.Time.GetElapsedTime(started));
        }
    }

    private TimeSpan WaitLeft(long started)
    {
        var left = TimeSpan.FromSeconds(picker.Options.QueueSeconds) - picker.Time.GetElapsedTime(started);
        return left < Left ? left : Left;
    }

    private WireException Unavailable(TimeSpan wait) => _last is null ? RouteErrors.Unavailable(wait) : RouteErrors.ToWire(_last, midStream: false);

    private void Count(Admission admission)
    {
        if (call.Attempts is not [.., var before])
        {
            if (admission.Index > 0)
                picker.Metrics.FellBack(call.Route[0], admission.Target, "unavailable");
        }
        else if (before.Target.Target == admission.Target.Target)
        {
            picker.Metrics.Retried(admission.Target, before.ErrorCode);
        }
        else
        {
            picker.Metrics.FellBack(before.Target, admission.Target, before.ErrorCode);
        }
    }
}
