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
    [Trait("Checklist", "PROV-05")]
    public async Task A_limited_key_leaves_the_request_to_the_next_one_at_once()
    {
        Providers.Host("one", (request, _) => Task.FromResult(
            request.Headers.Authorization!.Parameter == "new" ? FakeProviders.Whole("Hi") : FakeProviders.Status(HttpStatusCode.TooManyRequests, retryAfter: TimeSpan.FromSeconds(30))));
        // Nothing is retried: a key that has not been asked is none.
        var step = Providers.Step(new RoutingOptions { MaxRetries = 0 });
        Providers.Keys.Hold([new ProviderKey(SampleCalls.Id(), "one", "second", "new", SampleCalls.Now)]);
        var call = Call(One, Two);

        await step.RunAsync(call);
        await step.RunAsync(Call(One));

        Assert.Equal(["sim-key", "new", "new"], Providers.SentKeys);
        Assert.Equal([429, 200], call.Attempts.Select(a => a.Status));
        Assert.Equal(["one", "one"], call.Attempts.Select(a => a.Target.Target.Provider));
    }

    [Fact]
    [Trait("Checklist", "PROV-05")]
    public async Task When_every_key_is_limited_each_was_asked_once_and_then_the_next_target_is()
    {
        // Without a wait, both keys count as usable at once.
        Providers.Host("one", () => FakeProviders.Status(HttpStatusCode.TooManyRequests, retryAfter: TimeSpan.Zero)).Host("two", () => FakeProviders.Whole("Hi"));
        var step = Providers.Step(new RoutingOptions());
        Providers.Keys.Hold([new ProviderKey(SampleCalls.Id(), "one", "second", "new", SampleCalls.Now)]);
        var call = Call(One, Two);

        await step.RunAsync(call);

        Assert.Equal(["one", "one", "two"], call.Attempts.Select(a => a.Target.Target.Provider));
        Assert.Equal(["new", "sim-key"], Providers.SentKeys.Take(2).Order());
    }

    [Fact]
    [Trait("Checklist", "COST-09")]
    public async Task Only_coming_back_to_a_limited_key_is_a_retry()
    {
        Providers.Host("one", () => FakeProviders.Status(HttpStatusCode.TooManyRequests, retryAfter: TimeSpan.Zero));
        var step = Providers.Step(new RoutingOptions { MaxRetries = 5, RetryReserve = 1, RetryRatio = 0 });
        Providers.Keys.Hold([new ProviderKey(SampleCalls.Id(), "one", "second", "new", SampleCalls.Now)]);

        var refusal = await Assert.ThrowsAsync<WireException>(() => FinishAsync(step.RunAsync(Call(One)), TimeSpan.FromSeconds(1)));

        // Two keys, the one retry that was saved up, and the two again.
        Assert.Equal((429, 4), (refusal.Status, Providers.SentKeys.Count));
    }

    [Fact]
    public async Task A_limited_key_is_waited_for_though_another_was_refused()
    {
        var limited = true;
        Providers.Host("one", (request, _) => Task.FromResult(
            request.Headers.Authorization!.Parameter == "new" ? FakeProviders.Status(HttpStatusCode.Unauthorized)
                : limited ? FakeProviders.Status(HttpStatusCode.TooManyRequests, retryAfter: TimeSpan.FromSeconds(2))
                : FakeProviders.Whole("Hi")));
        var step = Providers.Step(new RoutingOptions());
        Providers.Keys.Hold([new ProviderKey(SampleCalls.Id(), "one", "second", "new", SampleCalls.Now)]);
        var running = step.RunAsync(Call(One));
        limited = false;

        await FinishAsync(running, TimeSpan.FromSeconds(1));

        Assert.Equal(["sim-key", "new", "sim-key"], Providers.SentKeys);
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
