using System.Reflection;
using StackExchange.Redis;

namespace AiAspire.Integration.Caching;

/// <summary>
/// A Redis between whose commands something happens: it runs <c>Before</c> ahead of the first command of a name. Everything else goes straight through.
/// </summary>
public class RedisWithAPause : DispatchProxy
{
    private object _inner = null!;
    private Pause _pause = null!;

    /// <param name="inner">The connection.</param>
    /// <param name="command">The method of <see cref="IDatabaseAsync"/>, which answers with a truth value.</param>
    /// <param name="before">What happens ahead of its first call.</param>
    public static IConnectionMultiplexer Of(IConnectionMultiplexer inner, string command, Func<Task> before) => Of(inner, new Pause(command, before));

    protected override object? Invoke(MethodInfo? targetMethod, object?[]? args)
    {
        ArgumentNullException.ThrowIfNull(targetMethod);
        if (targetMethod.Name == _pause.Command && _pause.Take() is { } before)
            return AfterAsync(before, () => (Task<bool>)Call(targetMethod, args)!);
        var result = Call(targetMethod, args);
        return result is IDatabase database ? Of(database, _pause) : result;
    }

    private object? Call(MethodInfo method, object?[]? args) => method.Invoke(_inner, BindingFlags.DoNotWrapExceptions, binder: null, args, culture: null);

    private static T Of<T>(T inner, Pause pause)
        where T : class
    {
        var proxy = Create<T, RedisWithAPause>();
        var self = (RedisWithAPause)(object)proxy;
        (self._inner, self._pause) = (inner, pause);
        return proxy;
    }

    private static async Task<bool> AfterAsync(Func<Task> before, Func<Task<bool>> command)
    {
        await before();
        return await command();
    }

    private sealed class Pause(string command, Func<Task> before)
    {
        private int _taken;

        public string Command => command;

        public Func<Task>? Take() => Interlocked.Exchange(ref _taken, 1) == 0 ? before : null;
    }
}
