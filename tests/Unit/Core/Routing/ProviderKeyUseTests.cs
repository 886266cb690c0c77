using System.Net;
using AiAspire.Core.Models;
using AiAspire.Core.Routing;
using AiAspire.Core.Wire;
using Polly.CircuitBreaker;

namespace AiAspire.Unit.CoreTests.Routing;

/// <summary>Which of a provider's keys a call is made with.</summary>
public sealed class ProviderKeyUseTests : RouteCases
{
    [Fact]
    public async Task A_refused_key_is_put_out_of_use_and_the_next_one_serves_at_once()
    {
        Providers.Host("one", (request, _) => Task.FromResult(
            request.Headers.Authorization!.Parameter == "new" ? FakeProviders.Whole("Hi") : FakeProviders.Status(HttpStatusCode.Unauthorized)));
        var step = Providers.Step();
        Providers.Keys.Hold([new ProviderKey(SampleCalls.Id(), "one", "second", "new", SampleCalls.Now)]);
        var call = Call(One, Two);

        await step.RunAsync(call);
        await step.RunAsync(Call(One));

        Assert.Equal(["sim-key", "new", "new"], Providers.SentKeys);
        Assert.Equal([401, 200], call.Attempts.Select(a => a.Status));
        Assert.Equal(CircuitState.Closed, Providers.Healths.Of(One.Target).Breaker.State);
        // It is tried again after a while: the provider may have been wrong.
        Time.Advance(TimeSpan.FromSeconds(61));
        await step.RunAsync(Call(One));
        await step.RunAsync(Call(One));
        Assert.Contains("sim-key", Providers.SentKeys.Skip(3));
    }

    [Fact]
    public async Task A_retired_key_is_sent_no_more_and_what_runs_on_it_ends_in_peace()
    {
        var old = new ProviderKey(SampleCalls.Id(), "one", "old", "old", SampleCalls.Now);
        var step = Providers.Step();
        Providers.Keys.Hold([old]);
        var release = new TaskCompletionSource();
        Providers.Host("one", async (_, _) =>
        {
            await release.Task;
            return FakeProviders.Whole("Hi");
        });
        Task[] running = [step.RunAsync(Call(One)), step.RunAsync(Call(One))];
        // The less busy key is taken: one each.
        Assert.Equal(["old", "sim-key"], Providers.SentKeys.Order());

        Providers.Keys.Hold([]);
        release.SetResult();
        await Task.WhenAll(running);
        // Two at once: the second would go to the other key, if there still were one.
        release = new TaskCompletionSource();
        running = [step.RunAsync(Call(One)), step.RunAsync(Call(One))];
        release.SetResult();
        await Task.WhenAll(running);

        Assert.Equal(["sim-key", "sim-key"], Providers.SentKeys.Skip(2));
    }
}
