using System.Collections.Concurrent;
using System.Diagnostics.Metrics;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using StackExchange.Redis;

namespace AiAspire.Core.Limits;

/// <summary>The counters cannot be reached, and without them nothing may be spent.</summary>
public sealed class CountersAwayException(Exception inner) : Exception("The limits' counters cannot be reached.", inner);

/// <summary>
/// Reserves and settles, in Redis or, while that is away and <see cref="LimitsOptions.WithoutCounters"/> says so, by this process's own
/// share. The gauge <c>limits.degraded</c> is 1 meanwhile. Once Redis is back, counters that missed a settlement are built anew.
/// </summary>
public sealed partial class LimitGuard
{
    public const string MeterName = "AiAspire.Limits";

    /// <summary>More are not remembered: their leases end by themselves.</summary>
    private const int MostUnanswered = 10_000;

    private readonly LimitCounters _counters;
    private readonly CounterGenerations _generations;
    private readonly LocalCounters? _local;
    private readonly ILogger<LimitGuard> _logger;
    private readonly TimeProvider _time;

    // Reservations that Redis did not answer, and may have made all the same.
    private readonly ConcurrentQueue<Guid> _unanswered = new();
    private int _away;

    // When the counters last missed something that the ledger has or will have, in ticks; 0: nothing is missing.
    private long _missed;

    public LimitGuard(
        LimitCounters counters, CounterGenerations generations, IOptions<LimitsOptions> options, IMeterFactory meters, TimeProvider time, ILogger<LimitGuard> logger)
    {
        (_counters, _generations, _time, _logger) = (counters, generations, time, logger);
        _local = options.Value.WithoutCounters == WithoutCounters.LocalShare ? new LocalCounters(options.Value.LocalSharePercent, time) : null;
        meters.Create(MeterName).CreateObservableGauge(
            "limits.degraded", () => Volatile.Read(ref _away), description: "1 while the limits' counters cannot be reached, else 0.");
    }

    /// <exception cref="CountersAwayException">Redis is away, and there is no local share.</exception>
    public async Task<(Reservation? Granted, LimitRefusal? Refused)> ReserveAsync(
        Guid requestId, IReadOnlyList<LimitWindow> windows, CallDemand demand, CancellationToken cancellationToken)
    {
        if (windows.Count == 0)
            return (new Reservation(demand.OutputTokens, null), null);
        try
        {
            await CatchUpAsync(cancellationToken);
            var result = await _counters.ReserveAsync(requestId, windows, demand, cancellationToken);
            if (Interlocked.Exchange(ref _away, 0) == 1)
                LogBack(_logger);
            if (!_unanswered.IsEmpty)
                _ = FreeUnansweredAsync();
            return result;
        }
        catch (Exception e) when (IsAway(e))
        {
            if (Interlocked.Exchange(ref _away, 1) == 0)
                LogAway(_logger, _local is null ? "calls with a limit are refused" : "this process counts its own share", e);
            if (_local is null)
            {
                if (_unanswered.Count < MostUnanswered)
                    _unanswered.Enqueue(requestId);
                throw new CountersAwayException(e);
            }

            Missed();
            return _local.Reserve(requestId, windows, demand);
        }
    }

    /// <summary>Never fails: what cannot be counted now is counted when the counters are built anew.</summary>
    /// <returns>Each window's counter; empty when there is none to tell.</returns>
    public async Task<IReadOnlyList<long>> SettleAsync(
        Guid requestId, IReadOnlyList<LimitWindow> windows, CallDemand demand, CallUse used, DateTimeOffset endedAt)
    {
        if (_local?.Settle(requestId, windows, demand, used) == true)
        {
            Missed();
            return [];
        }

        try
        {
            return await _counters.SettleAsync(requestId, windows, used, endedAt, CancellationToken.None);
        }
        catch (Exception e)
        {
            FallBehind(requestId, e);
            return [];
        }
    }

    /// <summary>Has the counters built anew from the ledger. Never fails: if need be they are built later.</summary>
    public async Task RebuildAsync(Guid requestId)
    {
        try
        {
            await _generations.RenewAsync(_time.GetUtcNow(), CancellationToken.None);
        }
        catch (Exception e)
        {
            FallBehind(requestId, e);
        }
    }

    /// <summary>Has the counters built anew when they missed something that the ledger has.</summary>
    public async Task CatchUpAsync(CancellationToken cancellationToken)
    {
        var missed = Interlocked.Read(ref _missed);
        if (missed == 0)
            return;
        await _generations.RenewAsync(new DateTimeOffset(missed, TimeSpan.Zero), cancellationToken);
        // Unless they have missed more meanwhile.
        Interlocked.CompareExchange(ref _missed, 0, missed);
    }

    /// <summary>The counters have missed something that the ledger has: they are built anew before the next reservation.</summary>
    public void FallBehind(Guid requestId, Exception exception)
    {
        Missed();
        LogBehind(_logger, requestId, exception);
    }

    /// <summary>Never fails: a lease that is not ended now ends by itself.</summary>
    public async Task EndLeaseAsync(Guid requestId, CancellationToken cancellationToken)
    {
        try
        {
            await _counters.EndLeaseAsync(requestId, cancellationToken);
        }
        catch (Exception e) when (IsAway(e))
        {
            LogNotFreed(_logger, requestId, e);
        }
    }

    /// <summary>
    /// A Redis that hangs makes the reservations that wait at its socket when it goes on, and their callers have been refused long since. What they hold would
    /// be missing until their leases end.
    /// </summary>
    private async Task FreeUnansweredAsync()
    {
        while (_unanswered.TryDequeue(out var requestId))
            await EndLeaseAsync(requestId, CancellationToken.None);
    }

    private void Missed() => Interlocked.Exchange(ref _missed, _time.GetUtcNow().UtcTicks);

    // A frozen Redis answers with a time-out; without a database there is no rebuilding.
    private static bool IsAway(Exception e) => e is RedisException or TimeoutException or ObjectDisposedException or Npgsql.NpgsqlException;

    [LoggerMessage(Level = LogLevel.Critical, Message = "The limits' counters cannot be reached: {Consequence}")]
    private static partial void LogAway(ILogger logger, string consequence, Exception exception);

    [LoggerMessage(Level = LogLevel.Warning, Message = "What the abandoned request {RequestId} had reserved could not be freed; its lease ends by itself")]
    private static partial void LogNotFreed(ILogger logger, Guid requestId, Exception exception);

    [LoggerMessage(Level = LogLevel.Warning, Message = "The limits' counters are reached again")]
    private static partial void LogBack(ILogger logger);

    [LoggerMessage(Level = LogLevel.Error, Message = "The limits' counters did not hear what request {RequestId} used; they are built anew from the ledger")]
    private static partial void LogBehind(ILogger logger, Guid requestId, Exception exception);
}
