using System.Reflection;
using StackExchange.Redis;

namespace AiAspire.Core.Limits;

/// <summary>What a call needs, before it is known what it will use.</summary>
/// <param name="InputTokens">Input tokens, estimated.</param>
/// <param name="OutputTokens">Output tokens wished, over all choices.</param>
/// <param name="LeastOutput">With fewer output tokens the call is of no use.</param>
/// <param name="InputCost">What the input will cost at most, in billionths of a dollar.</param>
/// <param name="OutputTokenCost">What one output token will cost at most, in billionths of a dollar.</param>
public readonly record struct CallDemand(long InputTokens, long OutputTokens, long LeastOutput, long InputCost, long OutputTokenCost)
{
    /// <summary>What the input and each output token take of a window.</summary>
    internal (long Input, long Each) In(LimitUnit unit) => unit == LimitUnit.Tokens ? (InputTokens, 1) : (InputCost, OutputTokenCost);
}

/// <summary>What a call used.</summary>
/// <param name="Tokens">Input and output tokens.</param>
/// <param name="Charged">What the tenant pays, in billionths of a dollar.</param>
/// <param name="Provider">What the providers bill, in billionths of a dollar.</param>
public readonly record struct CallUse(long Tokens, long Charged, long Provider)
{
    internal long In(LimitUnit unit) => unit switch
    {
        LimitUnit.Tokens => Tokens,
        LimitUnit.ChargedCost => Charged,
        _ => Provider,
    };
}

/// <summary>What a reservation got.</summary>
/// <param name="GrantedOutput">Output tokens reserved over all choices; at most what was wished.</param>
/// <param name="Tightest">The window of tokens with the least left, and what is left of it; null without such windows.</param>
/// <param name="CountedFrom">When the counters were built that it is in: a call that ended earlier is theirs from the ledger. Later than now by a clock that is behind.</param>
public sealed record Reservation(long GrantedOutput, (LimitWindow Window, long Remaining)? Tightest, DateTimeOffset CountedFrom = default);

/// <summary>A window had too little left.</summary>
/// <param name="Window">The window.</param>
/// <param name="Committed">What of it is used, or reserved by calls in progress.</param>
public sealed record LimitRefusal(LimitWindow Window, long Committed);

/// <summary>
/// Counts tokens and money in Redis. One script call checks and reserves all windows together, so that parallel calls on any number of
/// replicas cannot overspend; a reservation has a lease, so that a dead process gives back what it held. The ledger is the truth, these
/// are fast copies, rebuilt from it when Redis has lost them (<see cref="CounterGenerations"/>). One script touches counters of several
/// owners: one primary is assumed, not a sharded cluster.
/// </summary>
public sealed class LimitCounters(IConnectionMultiplexer redis, CounterGenerations generations, TimeProvider time)
{
    /// <summary>How often a call meets counters that are being rebuilt again before it gives up.</summary>
    private const int MaxTries = 3;

    /// <summary>Longer than any call; a live call that outlasts it is still counted when it settles.</summary>
    private static readonly TimeSpan Lease = TimeSpan.FromMinutes(15);

    /// <summary>How long a settlement may be repeated.</summary>
    private static readonly TimeSpan SettledMark = TimeSpan.FromMinutes(10);
    private static readonly string ReserveScript = Script("reserve.lua");
    private static readonly string SettleScript = Script("settle.lua");

    /// <exception cref="RedisException">Redis is away.</exception>
    /// <exception cref="TimeoutException">Redis is away, or the counters are still being rebuilt.</exception>
    public async Task<(Reservation? Granted, LimitRefusal? Refused)> ReserveAsync(
        Guid requestId, IReadOnlyList<LimitWindow> windows, CallDemand demand, CancellationToken cancellationToken)
    {
        if (windows.Count == 0)
            return (new Reservation(demand.OutputTokens, null), null);
        var arguments = ReserveArguments(requestId, windows, demand);
        var generation = await generations.CurrentAsync(cancellationToken);
        for (var attempt = 1; attempt <= MaxTries; attempt++)
        {
            arguments[6] = generation;
            var result = (long[])(await redis.GetDatabase().ScriptEvaluateAsync(ReserveScript, Keys(generation, requestId, windows), arguments))!;
            switch (result[0])
            {
                case 1: return (new Reservation(result[1], result[2] == 0 ? null : (windows[(int)result[2] - 1], result[3]), CounterGenerations.MadeAt(generation)), null);
                case 0: return (null, new LimitRefusal(windows[(int)result[1] - 1], result[2]));
                default: generation = await generations.AfterAsync(generation, cancellationToken); break;
            }
        }

        throw new TimeoutException("The limits' counters are being rebuilt again and again.");
    }

    /// <summary>Counts what was used and frees the rest of the reservation. May be repeated.</summary>
    /// <param name="requestId">As reserved.</param>
    /// <param name="windows">As reserved.</param>
    /// <param name="used">What was used.</param>
    /// <param name="endedAt">As the ledger has it: what ended before the counters were rebuilt was counted then.</param>
    /// <param name="cancellationToken">Cancels.</param>
    /// <returns>Each window's counter; empty when there is none to tell.</returns>
    /// <exception cref="RedisException">Redis is away; the ledger still knows, and the lease frees the reservation.</exception>
    public async Task<IReadOnlyList<long>> SettleAsync(
        Guid requestId, IReadOnlyList<LimitWindow> windows, CallUse used, DateTimeOffset endedAt, CancellationToken cancellationToken)
    {
        if (windows.Count == 0)
            return [];
        var now = time.GetUtcNow();
        var arguments = new RedisValue[3 + (2 * windows.Count)];
        arguments[0] = requestId.ToString("N");
        arguments[1] = (long)SettledMark.TotalMilliseconds;
        for (var i = 0; i < windows.Count; i++)
            arguments[4 + (2 * i)] = (long)windows[i].TimeToLive(now).TotalMilliseconds;
        var generation = await generations.CurrentAsync(cancellationToken);
        for (var attempt = 1; attempt <= MaxTries; attempt++)
        {
            arguments[2] = generation;
            // Also when these counters were known before the call came to be settled: only what it may have reserved in them is freed.
            var uncounted = CounterGenerations.Counts(generation, endedAt) ? default : used;
            for (var i = 0; i < windows.Count; i++)
                arguments[3 + (2 * i)] = uncounted.In(windows[i].Unit);
            var result = (long[])(await redis.GetDatabase().ScriptEvaluateAsync(SettleScript, Keys(generation, requestId, windows), arguments))!;
            if (result is not [-1])
                return result;
            generation = await generations.AfterAsync(generation, cancellationToken);
        }

        throw new TimeoutException("The limits' counters are being rebuilt again and again.");
    }

    /// <summary>Ends the lease of a reservation whose process is dead: the next call that reserves frees what it held.</summary>
    public async Task EndLeaseAsync(Guid requestId, CancellationToken cancellationToken)
        => await redis.GetDatabase().SortedSetAddAsync(
            CounterGenerations.Key(await generations.CurrentAsync(cancellationToken), "leases"), requestId.ToString("N"), 0, SortedSetWhen.Exists);

    private RedisValue[] ReserveArguments(Guid requestId, IReadOnlyList<LimitWindow> windows, CallDemand demand)
    {
        var now = time.GetUtcNow();
        var arguments = new RedisValue[7 + (4 * windows.Count)];
        arguments[0] = requestId.ToString("N");
        arguments[1] = now.ToUnixTimeMilliseconds();
        arguments[2] = (long)Lease.TotalMilliseconds;
        arguments[3] = demand.OutputTokens;
        arguments[4] = demand.LeastOutput;
        var tokenWindows = 0;
        for (var i = 0; i < windows.Count; i++)
        {
            var window = windows[i];
            if (window.Unit == LimitUnit.Tokens && tokenWindows++ != i)
                throw new ArgumentException("Windows of tokens come first.", nameof(windows));
            var at = 7 + (4 * i);
            var (input, each) = demand.In(window.Unit);
            arguments[at] = window.Limit;
            arguments[at + 1] = (long)window.TimeToLive(now).TotalMilliseconds;
            arguments[at + 2] = input;
            arguments[at + 3] = each;
        }

        arguments[5] = tokenWindows;
        return arguments;
    }

    private static RedisKey[] Keys(long generation, Guid requestId, IReadOnlyList<LimitWindow> windows)
    {
        var keys = new RedisKey[windows.Count + 3];
        for (var i = 0; i < windows.Count; i++)
            keys[i] = CounterGenerations.Key(generation, windows[i].Key);
        keys[^3] = CounterGenerations.Key(generation, $"res:{requestId:N}");
        keys[^2] = CounterGenerations.Key(generation, "leases");
        keys[^1] = CounterGenerations.Mark;
        return keys;
    }

    private static string Script(string name)
    {
        using var reader = new StreamReader(Assembly.GetExecutingAssembly().GetManifestResourceStream($"AiAspire.Core.Limits.{name}")!);
        return reader.ReadToEnd();
    }
}
