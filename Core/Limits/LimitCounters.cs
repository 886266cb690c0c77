using System.Reflection;
using StackExchange.Redis;

namespace AiAspire.Core.Limits;

/// <summary>What a call needs, before it is known what it will use.</summary>
/// <param name="InputTokens">Input tokens, estimated.</param>
/// <param name="OutputTokens">Output tokens wished, over all choices.</param>
/// <param name="LeastOutput">With fewer output tokens the call is of no use.</param>
/// <param name="InputCost">What the input will cost at most, in nano-dollars.</param>
/// <param name="OutputTokenCost">What one output token will cost at most, in nano-dollars.</param>
public readonly record struct CallDemand(long InputTokens, long OutputTokens, long LeastOutput, long InputCost, long OutputTokenCost);

/// <summary>What a call used.</summary>
/// <param name="Tokens">Input and output tokens.</param>
/// <param name="Cost">In nano-dollars.</param>
public readonly record struct CallUse(long Tokens, long Cost);

/// <summary>What a reservation got.</summary>
/// <param name="GrantedOutput">Output tokens reserved over all choices; at most what was wished.</param>
/// <param name="Tightest">The window of tokens with the least left, and what is left of it; null without such windows.</param>
public sealed record Reservation(long GrantedOutput, (LimitWindow Window, long Remaining)? Tightest);

/// <summary>A window had too little left.</summary>
/// <param name="Window">The window.</param>
/// <param name="Committed">What of it is used, or reserved by calls in progress.</param>
public sealed record LimitRefusal(LimitWindow Window, long Committed);

/// <summary>
/// Counts tokens and money in Redis. One script call checks and reserves all windows together, so that parallel calls on any number of
/// replicas cannot overspend; a reservation has a lease, so that a dead process gives back what it held. The ledger is the truth, these
/// are fast copies. The scripts touch counters of several tenants' windows: one primary is assumed, not a sharded cluster.
/// </summary>
public sealed class LimitCounters(IConnectionMultiplexer redis, TimeProvider time)
{
    private const string ReservationPrefix = "aia:lim:res:";
    private const string LeasesKey = "aia:lim:leases";

    /// <summary>Longer than any call; a live call that outlasts it is still counted when it settles.</summary>
    private static readonly TimeSpan Lease = TimeSpan.FromMinutes(15);

    /// <summary>How long a settlement may be repeated.</summary>
    private static readonly TimeSpan SettledMark = TimeSpan.FromMinutes(10);
    private static readonly string ReserveScript = Script("reserve.lua");
    private static readonly string SettleScript = Script("settle.lua");

    /// <exception cref="RedisException">Redis is away.</exception>
    public async Task<(Reservation? Granted, LimitRefusal? Refused)> ReserveAsync(Guid requestId, IReadOnlyList<LimitWindow> windows, CallDemand demand)
    {
        if (windows.Count == 0)
            return (new Reservation(demand.OutputTokens, null), null);
        var now = time.GetUtcNow();
        var arguments = new RedisValue[6 + (4 * windows.Count)];
        arguments[0] = requestId.ToString("N");
        arguments[1] = now.ToUnixTimeMilliseconds();
        arguments[2] = (long)Lease.TotalMilliseconds;
        arguments[3] = demand.OutputTokens;
        arguments[4] = demand.LeastOutput;
        var tokenWindows = 0;
        for (var i = 0; i < windows.Count; i++)
        {
            var window = windows[i];
            var counts = window.Unit == LimitUnit.Tokens;
            if (counts && tokenWindows++ != i)
                throw new ArgumentException("Windows of tokens come first.", nameof(windows));
            var at = 6 + (4 * i);
            arguments[at] = window.Limit;
            arguments[at + 1] = (long)window.TimeToLive(now).TotalMilliseconds;
            arguments[at + 2] = counts ? demand.InputTokens : demand.InputCost;
            arguments[at + 3] = counts ? 1 : demand.OutputTokenCost;
        }

        arguments[5] = tokenWindows;
        var result = (long[])(await redis.GetDatabase().ScriptEvaluateAsync(ReserveScript, Keys(requestId, windows), arguments))!;
        if (result[0] == 0)
            return (null, new LimitRefusal(windows[(int)result[1] - 1], result[2]));
        return (new Reservation(result[1], result[2] == 0 ? null : (windows[(int)result[2] - 1], result[3])), null);
    }

    /// <summary>Counts what was used and frees the rest of the reservation. May be repeated.</summary>
    /// <exception cref="RedisException">Redis is away; the ledger still knows, and the lease frees the reservation.</exception>
    public async Task SettleAsync(Guid requestId, IReadOnlyList<LimitWindow> windows, CallUse used)
    {
        if (windows.Count == 0)
            return;
        var now = time.GetUtcNow();
        var arguments = new RedisValue[2 + (2 * windows.Count)];
        arguments[0] = requestId.ToString("N");
        arguments[1] = (long)SettledMark.TotalMilliseconds;
        for (var i = 0; i < windows.Count; i++)
        {
            arguments[2 + (2 * i)] = windows[i].Unit == LimitUnit.Tokens ? used.Tokens : used.Cost;
            arguments[3 + (2 * i)] = (long)windows[i].TimeToLive(now).TotalMilliseconds;
        }

        await redis.GetDatabase().ScriptEvaluateAsync(SettleScript, Keys(requestId, windows), arguments);
    }

    private static RedisKey[] Keys(Guid requestId, IReadOnlyList<LimitWindow> windows)
    {
        var keys = new RedisKey[windows.Count + 2];
        for (var i = 0; i < windows.Count; i++)
            keys[i] = windows[i].Key;
        keys[^2] = ReservationPrefix + requestId.ToString("N");
        keys[^1] = LeasesKey;
        return keys;
    }

    private static string Script(string name)
    {
        using var reader = new StreamReader(Assembly.GetExecutingAssembly().GetManifestResourceStream($"AiAspire.Core.Limits.{name}")!);
        return reader.ReadToEnd();
    }
}
