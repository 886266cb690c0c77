using AiAspire.Core.Models;

namespace AiAspire.Core.Routing;

/// <summary>A model through one key: what a provider's rate limits are about.</summary>
internal sealed class Lane
{
    private readonly RoutingOptions _options;
    private readonly TimeProvider _time;
    private long _coolUntilTicks;
    private int _inFlight;
    private int _learnedRequests;
    private int _learnedTokens;
    private volatile Aim _aim;

    public Lane(ModelTarget target, KeyState key, RoutingOptions options, TimeProvider time)
    {
        (_aim, Key, _options, _time) = (new Aim(target, key), key, options, time);
    }

    public ModelTarget Target => _aim.Target;

    public KeyState Key { get; }

    public string BucketKey => _aim.BucketKey;

    public int InFlight => Volatile.Read(ref _inFlight);

    /// <summary>0: no limit is known.</summary>
    public double RequestsPerMinute => Share(Least(Key.Key.RequestsPerMinute ?? Target.Model.RequestsPerMinute, Volatile.Read(ref _learnedRequests)));

    /// <summary>0: no limit is known.</summary>
    public double TokensPerMinute => Share(Least(Key.Key.TokensPerMinute ?? Target.Model.TokensPerMinute, Volatile.Read(ref _learnedTokens)));

    public bool IsLimited => RequestsPerMinute > 0 || TokensPerMinute > 0;

    /// <summary>How long the provider asked to be left alone; zero when it did not.</summary>
    public TimeSpan Cooling()
    {
        var left = Interlocked.Read(ref _coolUntilTicks) - _time.GetUtcNow().UtcTicks;
        return left > 0 ? TimeSpan.FromTicks(left) : TimeSpan.Zero;
    }

    public void Cool(TimeSpan duration)
    {
        var until = (_time.GetUtcNow() + duration).UtcTicks;
        // Of two answers the later end holds.
        while (Interlocked.Read(ref _coolUntilTicks) is var seen && seen < until && Interlocked.CompareExchange(ref _coolUntilTicks, until, seen) != seen)
        {
        }
    }

    public void Retarget(ModelTarget target) => _aim = new Aim(target, Key);

    public void Begin()
    {
        Interlocked.Increment(ref _inFlight);
        Key.Use();
    }

    public void End() => Interlocked.Decrement(ref _inFlight);

    public void Learn(int? requestsPerMinute, int? tokensPerMinute)
    {
        if (requestsPerMinute is > 0)
            Volatile.Write(ref _learnedRequests, requestsPerMinute.Value);
        if (tokensPerMinute is > 0)
            Volatile.Write(ref _learnedTokens, tokensPerMinute.Value);
    }

    private sealed class Aim(ModelTarget target, KeyState key)
    {
        public ModelTarget Target { get; } = target;

        public string BucketKey { get; } = $"aia:rate:{target.Provider}:{target.UpstreamModel}:{key.Key.Id?.ToString("N") ?? ProviderKey.ConfiguredName}";
    }

    private double Share(int limit) => limit * _options.LimitShare;

    private static int Least(int? configured, int learned) => (configured ?? 0, learned) switch
    {
        (var c, 0) => c,
        (0, var l) => l,
        var (c, l) => Math.Min(c, l),
    };
}
