using Polly;
using Polly.CircuitBreaker;

namespace AiAspire.Core.Routing;

/// <summary>Whether a target is called at all: Polly's breaker, held open while an attempt runs, which is longer than a method call.</summary>
internal sealed class TargetBreaker
{
    /// <summary>Between two looks at a target that is being probed: nobody knows how long the probe takes.</summary>
    private static readonly TimeSpan LookAgain = TimeSpan.FromMilliseconds(50);

    private readonly ResiliencePipeline<bool> _pipeline;
    private readonly CircuitBreakerStateProvider _state = new();
    private readonly TimeProvider _time;
    private long _opensAgainTicks;

    public TargetBreaker(RoutingOptions options, TimeProvider time)
    {
        _time = time;
        var first = TimeSpan.FromSeconds(options.BreakSeconds);
        var most = TimeSpan.FromSeconds(options.MaxBreakSeconds);
        _pipeline = new ResiliencePipelineBuilder<bool> { TimeProvider = time }
            .AddCircuitBreaker(new CircuitBreakerStrategyOptions<bool>
            {
                FailureRatio = options.BreakerFailureRatio,
                MinimumThroughput = options.BreakerMinimumCalls,
                SamplingDuration = TimeSpan.FromSeconds(options.BreakerWindowSeconds),
                BreakDurationGenerator = args =>
                {
                    var duration = Min(most, first * Math.Pow(2, Math.Min(args.HalfOpenAttempts, 20)));
                    // Here and not in OnOpened, which Polly runs later on a thread of its own.
                    Interlocked.Exchange(ref _opensAgainTicks, (time.GetUtcNow() + duration).UtcTicks);
                    return ValueTask.FromResult(duration);
                },
                ShouldHandle = static args => ValueTask.FromResult(!args.Outcome.Result),
                StateProvider = _state,
            })
            .Build();
    }

    /// <summary><see cref="CircuitState.Open"/> also when the next call would probe.</summary>
    public CircuitState State => _state.CircuitState;

    /// <summary>How long no call will pass; zero when one may.</summary>
    public TimeSpan Blocked()
    {
        var state = State;
        // Polly calls it so from the probe's admission to its end.
        if (state == CircuitState.HalfOpen)
            return LookAgain;
        if (state != CircuitState.Open)
            return TimeSpan.Zero;
        var left = TimeSpan.FromTicks(Interlocked.Read(ref _opensAgainTicks) - _time.GetUtcNow().UtcTicks);
        return left > TimeSpan.Zero ? left : TimeSpan.Zero;
    }

    /// <summary>Null when the breaker is open, or half open and its one probe is on the way.</summary>
    public BreakerPass? TryEnter()
    {
        var pass = new BreakerPass { IsProbe = State != CircuitState.Closed, Context = ResilienceContextPool.Shared.Get() };
        pass.Recording = _pipeline.ExecuteOutcomeAsync(static (_, pass) => pass.RunAsync(), pass.Context, pass).AsTask();
        return pass.Entered ? pass : null;
    }

    private static TimeSpan Min(TimeSpan a, TimeSpan b) => a < b ? a : b;
}

/// <summary>Leave to call a target. Say once how it went.</summary>
internal sealed class BreakerPass
{
    private readonly TaskCompletionSource<Outcome<bool>> _ended = new();

    public bool Entered { get; private set; }

    /// <summary>The one call that decides whether an open breaker closes.</summary>
    public required bool IsProbe { get; init; }

    /// <summary>Polly's own view of the call.</summary>
    public Task? Recording { get; set; }

    public required ResilienceContext Context { get; init; }

    public void Report(bool healthy)
    {
        if (_ended.TrySetResult(Outcome.FromResult(healthy)) && Recording is { IsCompleted: true })
            ResilienceContextPool.Shared.Return(Context);
    }

    /// <summary>
    /// The call told nothing about the target: its caller left. Polly counts what ends, so it is left unended and weighs nothing; but
    /// a probe must end for the next one to go, and without proof the breaker stays open.
    /// </summary>
    public void Abandon()
    {
        if (IsProbe)
            Report(healthy: false);
    }

    internal ValueTask<Outcome<bool>> RunAsync()
    {
        Entered = true;
        return new ValueTask<Outcome<bool>>(_ended.Task);
    }
}
