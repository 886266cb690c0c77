using System.Collections.Concurrent;
using System.Reflection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using StackExchange.Redis;

namespace AiAspire.Core.Routing;

/// <summary>
/// The providers' rate limits, respected before sending. All replicas take from the same token buckets in Redis, in one script call per
/// attempt; lanes without limits ask nobody. While Redis is away each process takes from buckets of its own, its share of the limit.
/// </summary>
public sealed partial class ProviderLimits(IConnectionMultiplexer redis, IOptions<RoutingOptions> options, TimeProvider time, ILogger<ProviderLimits> logger)
{
    private static readonly TimeSpan Alone = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan TimeToLive = TimeSpan.FromMinutes(10);
    private static readonly string TakeScript = Script("take.lua");
    private static readonly string GiveBackScript = Script("give_back.lua");

    private readonly ConcurrentDictionary<string, LocalBucket> _local = new(StringComparer.Ordinal);
    private long _aloneUntilTicks;

    /// <summary>Each process has only its share, because Redis is away.</summary>
    public bool IsDegraded => Interlocked.Read(ref _aloneUntilTicks) > time.GetUtcNow().UtcTicks;

    /// <summary>Takes one request with its tokens from the first lane that has room.</summary>
    /// <returns>The lane's place; or -1 and how long until one has room.</returns>
    internal async ValueTask<(int Lane, TimeSpan Wait)> TakeAsync(IReadOnlyList<Lane> lanes, long tokens)
    {
        // From the first lane without limits on nothing is asked: that one is free.
        var limited = 0;
        while (limited < lanes.Count && lanes[limited].IsLimited)
            limited++;
        if (limited == 0)
            return (lanes.Count > 0 ? 0 : -1, TimeSpan.Zero);
        var (taken, wait) = await TakeLimitedAsync(lanes, limited, tokens);
        return taken < 0 && limited < lanes.Count ? (limited, TimeSpan.Zero) : (taken, wait);
    }

    /// <summary>Corrects what was taken, once the tokens are known.</summary>
    internal ValueTask GiveBackAsync(Lane lane, long tokens)
        => tokens == 0 || lane.TokensPerMinute <= 0 ? ValueTask.CompletedTask : GiveBackAsync(lane, tokens, requests: 0);

    /// <summary>Undoes a <see cref="TakeAsync"/>: nothing is sent.</summary>
    internal ValueTask ReturnAsync(Lane lane, long tokens)
        => lane.IsLimited ? GiveBackAsync(lane, tokens, requests: 1) : ValueTask.CompletedTask;

    private async ValueTask GiveBackAsync(Lane lane, long tokens, int requests)
    {
        if (!IsDegraded)
        {
            try
            {
                await redis.GetDatabase().ScriptEvaluateAsync(GiveBackScript, [lane.BucketKey], [tokens, requests]);
                return;
            }
            catch (Exception e) when (e is RedisException or RedisTimeoutException or ObjectDisposedException)
            {
                GoAlone(e);
            }
        }

        if (_local.TryGetValue(lane.BucketKey, out var bucket))
            bucket.GiveBack(tokens, requests);
    }

    private async ValueTask<(int Lane, TimeSpan Wait)> TakeLimitedAsync(IReadOnlyList<Lane> lanes, int count, long tokens)
    {
        if (!IsDegraded)
        {
            try
            {
                return await TakeSharedAsync(lanes, count, tokens);
            }
            catch (Exception e) when (e is RedisException or RedisTimeoutException or ObjectDisposedException)
            {
                GoAlone(e);
            }
        }

        var soonest = TimeSpan.MaxValue;
        for (var i = 0; i < count; i++)
        {
            var bucket = _local.GetOrAdd(lanes[i].BucketKey, static (_, start) => new LocalBucket(start), time.GetTimestamp());
            var wait = bucket.Take(Rates(lanes[i], options.Value.Replicas), tokens, time);
            if (wait == TimeSpan.Zero)
                return (i, wait);
            soonest = wait < soonest ? wait : soonest;
        }

        return (-1, soonest);
    }

    private async Task<(int Lane, TimeSpan Wait)> TakeSharedAsync(IReadOnlyList<Lane> lanes, int count, long tokens)
    {
        var keys = new RedisKey[count];
        var arguments = new RedisValue[3 + (4 * count)];
        (arguments[0], arguments[1], arguments[2]) = (time.GetUtcNow().ToUnixTimeMilliseconds(), tokens, (long)TimeToLive.TotalMilliseconds);
        for (var i = 0; i < count; i++)
        {
            keys[i] = lanes[i].BucketKey;
            var rates = Rates(lanes[i], replicas: 1);
            (arguments[3 + (4 * i)], arguments[4 + (4 * i)]) = (rates.Requests / 60_000, rates.MostRequests);
            (arguments[5 + (4 * i)], arguments[6 + (4 * i)]) = (rates.Tokens / 60_000, rates.MostTokens);
        }

        var result = (long[])(await redis.GetDatabase().ScriptEvaluateAsync(TakeScript, keys, arguments))!;
        return ((int)result[0] - 1, TimeSpan.FromMilliseconds(Math.Max(result[0] > 0 ? 0 : 1, result[1])));
    }

    private BucketRates Rates(Lane lane, int replicas)
    {
        var part = options.Value.LimitBurstSeconds / 60;
        var (requests, tokens) = (lane.RequestsPerMinute / replicas, lane.TokensPerMinute / replicas);
        return new BucketRates(requests, requests > 0 ? Math.Max(1, requests * part) : 0, tokens, tokens > 0 ? Math.Max(1, tokens * part) : 0);
    }

    private void GoAlone(Exception exception)
    {
        if (!IsDegraded)
            LogAlone(logger, options.Value.Replicas, exception);
        Interlocked.Exchange(ref _aloneUntilTicks, (time.GetUtcNow() + Alone).UtcTicks);
    }

    private static string Script(string name)
    {
        using var reader = new StreamReader(Assembly.GetExecutingAssembly().GetManifestResourceStream($"AiAspire.Core.Routing.{name}")!);
        return reader.ReadToEnd();
    }

    [LoggerMessage(
        Level = LogLevel.Error,
        EventName = "provider.limits_degraded",
        Message = "Redis is away: this process keeps to a {Replicas}th of each provider's rate limits (Routing:Replicas) until it is back")]
    private static partial void LogAlone(ILogger logger, int replicas, Exception exception);
}

/// <summary>Per minute, and the most that a bucket holds; 0: no limit.</summary>
internal readonly record struct BucketRates(double Requests, double MostRequests, double Tokens, double MostTokens);

/// <summary>The script's bucket in this process.</summary>
internal sealed class LocalBucket(long started)
{
    private readonly Lock _lock = new();
    private long _at = started;
    private double _requests = double.PositiveInfinity;
    private double _tokens = double.PositiveInfinity;

    /// <returns>Zero when taken; else how long until there is room.</returns>
    public TimeSpan Take(BucketRates rates, long tokens, TimeProvider time)
    {
        lock (_lock)
        {
            var now = time.GetTimestamp();
            var minutes = time.GetElapsedTime(_at, now).TotalMinutes;
            _at = now;
            _requests = Math.Min(rates.MostRequests, _requests + (minutes * rates.Requests));
            _tokens = Math.Min(rates.MostTokens, _tokens + (minutes * rates.Tokens));
            var wait = 0.0;
            if (rates.Requests > 0 && _requests < 1)
                wait = (1 - _requests) / rates.Requests;
            var need = Math.Min(tokens, rates.MostTokens);
            if (rates.Tokens > 0 && _tokens < need)
                wait = Math.Max(wait, (need - _tokens) / rates.Tokens);
            if (wait > 0)
                return TimeSpan.FromMilliseconds(Math.Ceiling(wait * 60_000));
            _requests -= rates.Requests > 0 ? 1 : 0;
            _tokens -= rates.Tokens > 0 ? tokens : 0;
            return TimeSpan.Zero;
        }
    }

    public void GiveBack(long tokens, int requests)
    {
        lock (_lock)
        {
            _tokens += tokens;
            _requests += requests;
        }
    }
}
