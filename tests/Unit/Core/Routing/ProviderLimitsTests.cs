using AiAspire.Core.Models;
using AiAspire.Core.Routing;
using AiAspire.Core.Wire;
using AiAspire.Unit.CoreTests.Limits;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;
using Microsoft.Extensions.Time.Testing;
using StackExchange.Redis;

namespace AiAspire.Unit.CoreTests.Routing;

/// <summary>The shared buckets on real servers, and what holds without one.</summary>
[Collection(LimitServersCollection.Name)]
public sealed class ProviderLimitsTests(LimitServers servers)
{
    private readonly FakeTimeProvider _time = new(TimeProvider.System.GetUtcNow());
    private readonly RoutingOptions _options = new() { LimitShare = 1, LimitBurstSeconds = 10, Replicas = 4 };
    private readonly string _name = $"t{SampleCalls.Id():N}";

    public static TheoryData<string> Servers => LimitServers.Names;

    [Theory]
    [MemberData(nameof(Servers))]
    [Trait("Checklist", "PROV-05")]
    public async Task Replicas_together_take_what_the_limit_gives_and_no_more(string server)
    {
        ProviderLimits[] replicas = [Limits(servers.Connection(server)), Limits(servers.Connection(server))];
        var lane = Lane(requestsPerMinute: 600);
        var taken = 0;
        for (var second = 0; second < 30; second++)
        {
            var results = await Task.WhenAll(Enumerable.Range(0, 40).Select(i => replicas[i % 2].TakeAsync([lane], 1).AsTask()));
            taken += results.Count(r => r.Lane == 0);
            Assert.All(results.Where(r => r.Lane < 0), r => Assert.InRange(r.Wait.TotalMilliseconds, 1, 100));
            _time.Advance(TimeSpan.FromSeconds(1));
        }

        // A burst of ten seconds' worth, and 10 a second.
        Assert.InRange(taken, 100 + 280, 100 + 300);
    }

    [Theory]
    [MemberData(nameof(Servers))]
    public async Task Tokens_are_taken_as_reserved_and_corrected_when_known(string server)
    {
        var limits = Limits(servers.Connection(server));
        var lane = Lane(tokensPerMinute: 6000);

        Assert.Equal(0, (await limits.TakeAsync([lane], 900)).Lane);
        var (refused, wait) = await limits.TakeAsync([lane], 200);
        Assert.Equal((-1, TimeSpan.FromSeconds(1)), (refused, wait));
        await limits.GiveBackAsync(lane, 800);
        Assert.Equal(0, (await limits.TakeAsync([lane], 850)).Lane);
        // Larger than the bucket: it waits for a full one and leaves a debt.
        _time.Advance(TimeSpan.FromSeconds(10));
        Assert.Equal(0, (await limits.TakeAsync([lane], 3000)).Lane);
        Assert.Equal(TimeSpan.FromSeconds(21), (await limits.TakeAsync([lane], 100)).Wait);
    }

    [Theory]
    [MemberData(nameof(Servers))]
    public async Task What_was_taken_and_not_sent_is_given_back_whole(string server)
    {
        var limits = Limits(servers.Connection(server));
        var lane = Lane(requestsPerMinute: 6, tokensPerMinute: 6000);

        Assert.Equal(0, (await limits.TakeAsync([lane], 900)).Lane);
        await limits.ReturnAsync(lane, 900);
        Assert.Equal(0, (await limits.TakeAsync([lane], 1000)).Lane);
        Assert.Equal(-1, (await limits.TakeAsync([lane], 1)).Lane);
    }

    [Theory]
    [MemberData(nameof(Servers))]
    public async Task The_first_lane_with_room_is_taken_and_a_lane_without_limit_is_the_last_resort(string server)
    {
        var limits = Limits(servers.Connection(server));
        Lane[] lanes = [Lane(6, "a"), Lane(6, "b")];

        Assert.Equal(0, (await limits.TakeAsync(lanes, 1)).Lane);
        Assert.Equal(1, (await limits.TakeAsync(lanes, 1)).Lane);
        Assert.Equal(TimeSpan.FromSeconds(10), (await limits.TakeAsync(lanes, 1)).Wait);
        Assert.Equal(2, (await limits.TakeAsync([.. lanes, Lane()], 1)).Lane);
        Assert.Equal(0, (await limits.TakeAsync([Lane(), .. lanes], 1)).Lane);
    }

    [Fact]
    public async Task Without_redis_a_process_keeps_to_its_share_and_says_so()
    {
        await using var nobody = await ConnectionMultiplexer.ConnectAsync("127.0.0.1:1,abortConnect=false,connectTimeout=50,connectRetry=0,asyncTimeout=100");
        var limits = Limits(nobody);
        var lane = Lane(requestsPerMinute: 240);
        var taken = 0;
        for (var i = 0; i < 40; i++)
            taken += (await limits.TakeAsync([lane], 1)).Lane == 0 ? 1 : 0;

        // A quarter of 240 a minute, ten seconds' worth at once.
        Assert.Equal((10, true), (taken, limits.IsDegraded));
        await limits.ReturnAsync(lane, 1);
        Assert.Equal(0, (await limits.TakeAsync([lane], 1)).Lane);
        Assert.Equal(-1, (await limits.TakeAsync([lane], 1)).Lane);
        _time.Advance(TimeSpan.FromSeconds(2));
        Assert.Equal(0, (await limits.TakeAsync([lane], 1)).Lane);
    }

    [Fact]
    [Trait("Checklist", "PROV-05")]
    public async Task Requests_beyond_the_limit_spread_to_the_next_target_or_wait_their_turn()
    {
        using var providers = new FakeProviders(_time);
        providers.Host("one", () => FakeProviders.Whole("Hi")).Host("two", () => FakeProviders.Whole("Hi"));
        var (one, two) = (Target("one", 60), Target("two", 30));
        var step = providers.Step(new RoutingOptions { LimitShare = 1, LimitBurstSeconds = 10, QueueSeconds = 20 }, servers.Connection(LimitServers.Garnet), one, two);
        var running = Enumerable.Range(0, 30).Select(_ => SampleCalls.CollectAsync(step.InvokeAsync(
            SampleCalls.Call(null, null, _time, one, two), static (_, _) => throw new InvalidOperationException(), TestContext.Current.CancellationToken))).ToList();
        // Bursts of 10 and 5 are served at once; 15 wait.
        await SettledAsync(() => running.Count(r => r.IsCompleted) == 15 && QueueLength() == 15);
        for (var tenth = 0; tenth < 150 && running.Exists(r => !r.IsCompleted); tenth++)
        {
            var before = running.Count(r => r.IsCompleted);
            _time.Advance(TimeSpan.FromMilliseconds(100));
            await SettledAsync(() => running.Count(r => r.IsCompleted) > before, 30);
        }

        await Task.WhenAll(running);
        Assert.Equal(0, QueueLength());
        Assert.True(_time.GetUtcNow() - _time.Start >= TimeSpan.FromSeconds(9.5), "15 requests need 10 s at 90 a minute");

        int QueueLength() => providers.Healths.Of(one.Target).Queue.Count;
    }

    [Fact]
    public async Task A_full_queue_and_a_wait_beyond_the_limit_are_refused_with_a_time()
    {
        using var providers = new FakeProviders(_time);
        providers.Host("one", () => FakeProviders.Whole("Hi"));
        var one = Target("one", 6);
        var step = providers.Step(new RoutingOptions { LimitShare = 1, QueueSeconds = 5 }, servers.Connection(LimitServers.Garnet), one);
        await RunAsync(step);

        var refusal = await Assert.ThrowsAsync<WireException>(() => RunAsync(step));
        Assert.Equal((429, "provider_rate_limited", TimeSpan.FromSeconds(10)), (refusal.Status, refusal.Code, refusal.RetryAfter));
        Assert.Equal(["open one", "call one"], providers.Log);

        Task RunAsync(RouteStep route) => SampleCalls.CollectAsync(route.InvokeAsync(
            SampleCalls.Call(null, null, _time, one), static (_, _) => throw new InvalidOperationException(), TestContext.Current.CancellationToken));
    }

    /// <summary>Gives the tasks that the clock woke, some of which ask the server, time to come to rest.</summary>
    private static async Task SettledAsync(Func<bool> settled, int most = 5000)
    {
        for (var i = 0; i < most && !settled(); i++)
            await Task.Delay(TimeSpan.FromMilliseconds(1), TimeProvider.System, TestContext.Current.CancellationToken);
    }

    private PricedTarget Target(string name, int requestsPerMinute)
    {
        // The bucket's key is of provider and model, so each test has models of its own.
        var target = SampleCalls.Target(name);
        return target with
        {
            Target = target.Target with { Model = new ModelOptions { Id = $"{name}-{_name}", MaxOutputTokens = 4096, RequestsPerMinute = requestsPerMinute } },
        };
    }

    private Lane Lane(int? requestsPerMinute = null, string model = "m", int? tokensPerMinute = null)
    {
        var target = new ModelTarget(_name, new ProviderOptions(), new ModelOptions { Id = model, RequestsPerMinute = requestsPerMinute, TokensPerMinute = tokensPerMinute });
        return new Lane(target, new KeyState(new ProviderKey(null, _name, "k", "secret"), _time), _options, _time);
    }

    private ProviderLimits Limits(IConnectionMultiplexer redis) => new(redis, Options.Create(_options), _time, NullLogger<ProviderLimits>.Instance);
}
