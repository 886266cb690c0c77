using System.Reflection;
using AiAspire.Core.Limits;
using StackExchange.Redis;

namespace AiAspire.Unit.CoreTests.Limits;

[Collection(LimitServersCollection.Name)]
public sealed class LimitGuardTests(LimitServers servers) : LimitStepCases(servers)
{
    private readonly LimitServers _servers = servers;

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Theory]
    [Trait("Checklist", "COST-06")]
    [MemberData(nameof(LimitServers.Names), MemberType = typeof(LimitServers))]
    public async Task What_a_redis_that_hung_reserved_for_calls_refused_meanwhile_is_free_once_it_is_back(string server)
    {
        _servers.Connection(server).GetDatabase().StringSet(CounterGenerations.Mark, 1);
        var (redis, hanging) = HangingRedis.Of(_servers.Connection(server));
        var guard = LimitServers.Guard(redis, LimitServers.Generations(redis, Time), Time);
        var windows = LimitWindows.For(SampleCalls.Caller(Limits(userDay: 100)), "chat", [], Time.GetUtcNow());

        // Together they hold all of it, and none of their callers knows.
        hanging.IsAnswered = false;
        for (var i = 0; i < 3; i++)
            await Assert.ThrowsAsync<CountersAwayException>(() => guard.ReserveAsync(SampleCalls.Id(), windows, new CallDemand(10, 50, 16, 0, 0), Cancelled));
        hanging.IsAnswered = true;

        (Reservation? Granted, LimitRefusal? Refused) whole = default;
        for (var i = 0; whole.Granted is null && i < 1000; i++)
            whole = await guard.ReserveAsync(SampleCalls.Id(), windows, new CallDemand(90, 10, 10, 0, 0), Cancelled);
        Assert.NotNull(whole.Granted);
    }
}

/// <summary>A Redis that does what its scripts say, and whose answers are lost while it hangs.</summary>
public class HangingRedis : DispatchProxy
{
    private object _inner = null!;
    private Answers _answers = null!;

    public static (IConnectionMultiplexer Redis, Answers Answers) Of(IConnectionMultiplexer inner)
    {
        var answers = new Answers();
        return (Of(inner, answers), answers);
    }

    protected override object? Invoke(MethodInfo? targetMethod, object?[]? args)
    {
        ArgumentNullException.ThrowIfNull(targetMethod);
        var result = targetMethod.Invoke(_inner, BindingFlags.DoNotWrapExceptions, binder: null, args, culture: null);
        return result switch
        {
            IDatabase database => Of(database, _answers),
            Task<RedisResult> script => AnswerAsync(script),
            _ => result,
        };
    }

    private static T Of<T>(T inner, Answers answers)
        where T : class
    {
        var proxy = Create<T, HangingRedis>();
        var self = (HangingRedis)(object)proxy;
        (self._inner, self._answers) = (inner, answers);
        return proxy;
    }

    private async Task<RedisResult> AnswerAsync(Task<RedisResult> script)
    {
        var result = await script;
        return _answers.IsAnswered ? result : throw new TimeoutException("The answer did not come.");
    }

    public sealed class Answers
    {
        public bool IsAnswered { get; set; } = true;
    }
}
