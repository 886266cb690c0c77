using System.Net;
using AiAspire.Core.Models;
using AiAspire.Core.Routing;
using AiAspire.Core.Wire;
using Microsoft.Extensions.Time.Testing;
using Polly.CircuitBreaker;

namespace AiAspire.Unit.CoreTests.Routing;

/// <summary>Which of a provider's keys a call is made with.</summary>
public sealed class ProviderKeyUseTests : IDisposable
{
    private readonly FakeTimeProvider _time = SampleCalls.Time();
    private readonly FakeProviders _providers;
    private readonly PricedTarget _one = SampleCalls.Target("one");
    private readonly PricedTarget _two = SampleCalls.Target("two");

    public ProviderKeyUseTests() => _providers = new FakeProviders(_time);

    public void Dispose() => _providers.Dispose();

    [Fact]
    public async Task A_refused_key_is_put_out_of_use_and_the_next_one_serves_at_once()
    {
        _providers.Host("one", (request, _) => Task.FromResult(
            request.Headers.Authorization!.Parameter == "new" ? FakeProviders.Whole("Hi") : FakeProviders.Status(HttpStatusCode.Unauthorized)));
        var step = _providers.Step();
        _providers.Keys.Hold([new ProviderKey(SampleCalls.Id(), "one", "second", "new", SampleCalls.Now)]);
        var call = Call(_one, _two);

        await step.RunAsync(call);
        await step.RunAsync(Call(_one));

        Assert.Equal(["sim-key", "new", "new"], _providers.SentKeys);
        Assert.Equal([401, 200], call.Attempts.Select(a => a.Status));
        Assert.Equal(CircuitState.Closed, _providers.Healths.Of(_one.Target).Breaker.State);
        // It is tried again after a while: the provider may have been wrong.
        _time.Advance(TimeSpan.FromSeconds(61));
        await step.RunAsync(Call(_one));
        await step.RunAsync(Call(_one));
        Assert.Contains("sim-key", _providers.SentKeys.Skip(3));
    }

    [Fact]
    public async Task A_retired_key_is_sent_no_more_and_what_runs_on_it_ends_in_peace()
    {
        var old = new ProviderKey(SampleCalls.Id(), "one", "old", "old", SampleCalls.Now);
        var step = _providers.Step();
        _providers.Keys.Hold([old]);
        var release = new TaskCompletionSource();
        _providers.Host("one", async (_, _) =>
        {
            await release.Task;
            return FakeProviders.Whole("Hi");
        });
        Task[] running = [step.RunAsync(Call(_one)), step.RunAsync(Call(_one))];
        // The less busy key is taken: one each.
        Assert.Equal(["old", "sim-key"], _providers.SentKeys.Order());

        _providers.Keys.Hold([]);
        release.SetResult();
        await Task.WhenAll(running);
        // Two at once: the second would go to the other key, if there still were one.
        release = new TaskCompletionSource();
        running = [step.RunAsync(Call(_one)), step.RunAsync(Call(_one))];
        release.SetResult();
        await Task.WhenAll(running);

        Assert.Equal(["sim-key", "sim-key"], _providers.SentKeys.Skip(2));
    }

    private ChatCall Call(params PricedTarget[] route) => SampleCalls.Call(null, null, _time, route);
}
