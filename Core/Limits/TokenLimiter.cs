using System.Reflection;
using StackExchange.Redis;

namespace AiAspire.Core.Limits;

/// <summary>What a reservation got.</summary>
/// <param name="GrantedOutput">Output tokens reserved over all choices; at most what was wished.</param>
/// <param name="Tightest">The window with the least left, and what is left of it; null without windows.</param>
public sealed record Reservation(long GrantedOutput, (LimitWindow Window, long Remaining)? Tightest);

/// <summary>A window had too little left.</summary>
public sealed record LimitRefusal(LimitWindow Window, long Used, long Reserved);

/// <summary>
/// Counts tokens in Redis. One script call checks and reserves all windows together, so that parallel calls on any number of replicas
/// cannot overspend; a reservation has a lease, so that a dead process gives its tokens back. The ledger is the truth, these are fast copies.
/// </summary>
public sealed class TokenLimiter(IConnectionMultiplexer redis, TimeProvider time)
{
    private static readonly TimeSpan Lease = TimeSpan.FromMinutes(15);
    private static readonly TimeSpan SettledMark = TimeSpan.FromHours(24);
    private static readonly string ReserveScript = Script("reserve.lua");
    private static readonly string SettleScript = Script("settle.lua");

    /// <exception cref="RedisException">Redis is away.</exception>
    public async Task<(Reservation? Granted, LimitRefusal? Refused)> ReserveAsync(
        Guid requestId, IReadOnlyList<LimitWindow> windows, long input, long output, long leastOutput)
    {
        if (windows.Count == 0)
            return (new Reservation(output, null), null);
        var now = time.GetUtcNow();
        var arguments = new List<RedisValue>
        {
            requestId.ToString("N"), now.ToUnixTimeMilliseconds(), (long)Lease.TotalMilliseconds, input, output, leastOutput,
        };
        foreach (var window in windows)
        {
            arguments.Add(window.Limit);
            arguments.Add((long)window.TimeToLive(now).TotalMilliseconds);
        }

        var result = (long[])(await redis.GetDatabase().ScriptEvaluateAsync(ReserveScript, Keys(windows), [.. arguments]))!;
        return result[0] == 1
            ? (new Reservation(result[1], (windows[(int)result[2] - 1], result[3])), null)
            : (null, new LimitRefusal(windows[(int)result[1] - 1], result[2], result[3]));
    }

    /// <summary>Counts what was used and frees the rest of the reservation. May be repeated.</summary>
    /// <exception cref="RedisException">Redis is away; the ledger still knows, and the lease frees the reservation.</exception>
    public async Task SettleAsync(Guid requestId, IReadOnlyList<LimitWindow> windows, long used)
    {
        if (windows.Count == 0)
            return;
        var now = time.GetUtcNow();
        var arguments = new List<RedisValue> { requestId.ToString("N"), used, (long)SettledMark.TotalMilliseconds };
        arguments.AddRange(windows.Select(w => (RedisValue)(long)w.TimeToLive(now).TotalMilliseconds));
        RedisKey[] keys = [.. Keys(windows), $"aia:lim:done:{requestId:N}"];
        await redis.GetDatabase().ScriptEvaluateAsync(SettleScript, keys, [.. arguments]);
    }

    private static RedisKey[] Keys(IReadOnlyList<LimitWindow> windows)
        => [.. windows.SelectMany(w => new RedisKey[] { w.Key, w.Key + ":l", w.Key + ":a" })];

    private static string Script(string name)
    {
        using var reader = new StreamReader(Assembly.GetExecutingAssembly().GetManifestResourceStream($"AiAspire.Core.Limits.{name}")!);
        return reader.ReadToEnd();
    }
}
