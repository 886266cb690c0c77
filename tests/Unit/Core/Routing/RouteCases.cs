using AiAspire.Core.Models;
using AiAspire.Core.Routing;
using AiAspire.Core.Wire;
using Microsoft.Extensions.Time.Testing;

namespace AiAspire.Unit.CoreTests.Routing;

/// <summary>Calls through the last step of the pipeline, to providers that answer as they are told, on a clock that the test moves.</summary>
public abstract class RouteCases : IDisposable
{
    private readonly FakeProviders _providers;

    protected RouteCases() => _providers = new FakeProviders(Time);

    protected static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    protected FakeTimeProvider Time { get; } = SampleCalls.Time();

    protected PricedTarget One { get; } = SampleCalls.Target("one");

    protected PricedTarget Two { get; } = SampleCalls.Target("two");

    private protected FakeProviders Providers => _providers;

    public void Dispose()
    {
        _providers.Dispose();
        GC.SuppressFinalize(this);
    }

    /// <summary>Moves the clock until the run has ended.</summary>
    protected async Task<List<ChatEvent>> FinishAsync(Task<List<ChatEvent>> running, TimeSpan step)
    {
        for (var i = 0; i < 2_000 && !running.IsCompleted; i++)
        {
            Time.Advance(step);
            for (var yields = 0; yields < 20 && !running.IsCompleted; yields++)
                await Task.Yield();
        }

        Assert.True(running.IsCompleted, "the run does not end");
        return await running;
    }

    protected ChatCall Call(params PricedTarget[] route) => SampleCalls.Call(null, null, Time, route);

    protected ChatCall Call(string json, params PricedTarget[] route) => SampleCalls.Call(json, null, Time, route);
}
