using System.Reflection;
using StackExchange.Redis;

namespace AiAspire.Unit.CoreTests.Routing;

/// <summary>
/// Redis as the rate limits ask it, with room for everyone. What it is asked is written down, and the answers wait for the test when it
/// says so: then what happens between a question and its answer is the test's choice. Not sealed: the proxies derive from it.
/// </summary>
public class ScriptedRedis : DispatchProxy
{
    private RedisScript _script = null!;

    public static IConnectionMultiplexer Playing(RedisScript script) => Proxy<IConnectionMultiplexer>(script);

    protected override object? Invoke(MethodInfo? targetMethod, object?[]? args) => targetMethod!.Name switch
    {
        nameof(IConnectionMultiplexer.GetDatabase) => Proxy<IDatabase>(_script),
        nameof(IDatabase.ScriptEvaluateAsync) => _script.AnswerAsync((RedisKey[])args![1]!, (RedisValue[])args[2]!),
        var other => throw new NotSupportedException(other),
    };

    private static T Proxy<T>(RedisScript script)
        where T : class
    {
        var proxy = Create<T, ScriptedRedis>();
        ((ScriptedRedis)(object)proxy)._script = script;
        return proxy;
    }
}

/// <summary>What <see cref="ScriptedRedis"/> was asked and when it answers.</summary>
public sealed class RedisScript
{
    /// <summary><c>take {lanes}</c> and <c>back {tokens} {requests}</c>, in their order.</summary>
    public List<string> Asked { get; } = [];

    /// <summary>When set, each taking waits for its own entry.</summary>
    public List<TaskCompletionSource>? Held { get; set; }

    public async Task<RedisResult> AnswerAsync(RedisKey[] keys, RedisValue[] arguments)
    {
        if (arguments.Length < 3)
        {
            Asked.Add($"back {string.Join(' ', arguments)}");
            return RedisResult.Create((RedisValue)1);
        }

        Asked.Add($"take {keys.Length}");
        if (Held is not null)
        {
            var held = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            Held.Add(held);
            await held.Task;
        }

        return RedisResult.Create([(RedisValue)1, (RedisValue)0]);
    }
}
