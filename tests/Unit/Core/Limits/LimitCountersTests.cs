using AiAspire.Core.Limits;
using Microsoft.Extensions.Time.Testing;
using StackExchange.Redis;

namespace AiAspire.Unit.CoreTests.Limits;

/// <summary>The two scripts on real servers.</summary>
[Collection(LimitServersCollection.Name)]
public sealed class LimitCountersTests(LimitServers servers)
{
    // The windows' keys live by the server's clock, so the tests stand in the present.
    private readonly FakeTimeProvider _time = new(TimeProvider.System.GetUtcNow());
    private readonly string _key = $"test:{SampleCalls.Id():N}";

    public static TheoryData<string> Servers => LimitServers.Names;

    [Theory]
    [MemberData(nameof(Servers))]
    [Trait("Checklist", "COST-01")]
    public async Task Of_200_parallel_calls_on_a_budget_for_one_exactly_one_passes(string server)
    {
        var redis = servers.Connection(server);
        // As two replicas would: each with a limiter of its own.
        LimitCounters[] limiters = [servers.Counters(server, _time), servers.Counters(server, _time)];
        var window = Window("day", 1500);

        var results = await Task.WhenAll(Enumerable.Range(0, 200).Select(i => Task.Run(() => limiters[i % 2].ReserveAsync(SampleCalls.Id(), [window], new CallDemand(500, 1000, 1000, 0, 0), default))));

        Assert.Single(results, r => r.Granted is not null);
        Assert.All(results.Where(r => r.Granted is null), r => Assert.Equal(1500, r.Refused!.Committed));
        Assert.Equal(1500, await CounterAsync(redis, window));
    }

    [Theory]
    [MemberData(nameof(Servers))]
    public async Task Parallel_calls_of_any_size_never_get_more_than_there_is(string server)
    {
        var redis = servers.Connection(server);
        var limiter = servers.Counters(server, _time);
        var window = Window("day", 10_000);

        var results = await Task.WhenAll(Enumerable.Range(0, 100).Select(i => Task.Run(() => limiter.ReserveAsync(SampleCalls.Id(), [window], new CallDemand(100 + i, 50 + (i * 7 % 300), 16, 0, 0), default))));

        var granted = results.Select((r, i) => r.Granted is { } g ? 100 + i + g.GrantedOutput : 0).Sum();
        Assert.True(granted <= 10_000, $"{granted} of 10000 granted");
        Assert.Equal(granted, await CounterAsync(redis, window));
    }

    [Theory]
    [MemberData(nameof(Servers))]
    public async Task A_reservation_that_comes_again_holds_its_part_once(string server)
    {
        var (redis, limiter) = Limiter(server);
        var window = Window("day", 1000);
        var request = SampleCalls.Id();

        for (var i = 0; i < 3; i++)
            Assert.Equal(600, (await limiter.ReserveAsync(request, [window], new CallDemand(300, 600, 600, 0, 0), default)).Granted!.GrantedOutput);
        Assert.Equal(900, await CounterAsync(redis, window));
        // A repeat with other numbers replaces the first.
        Assert.NotNull((await limiter.ReserveAsync(request, [window], new CallDemand(100, 200, 200, 0, 0), default)).Granted);
        Assert.Equal(300, await CounterAsync(redis, window));
    }

    [Theory]
    [MemberData(nameof(Servers))]
    public async Task A_settlement_counts_once_and_frees_the_rest(string server)
    {
        var (redis, limiter) = Limiter(server);
        LimitWindow[] windows = [Window("day", 1000), Window("minute", 2000)];
        var request = SampleCalls.Id();
        await limiter.ReserveAsync(request, windows, new CallDemand(300, 600, 600, 0, 0), default);

        for (var i = 0; i < 3; i++)
            await limiter.SettleAsync(request, windows, new CallUse(350, 0, 0), _time.GetUtcNow(), default);

        Assert.All(await Task.WhenAll(windows.Select(w => CounterAsync(redis, w))), counter => Assert.Equal(350, counter));
        Assert.Equal(650, (await limiter.ReserveAsync(SampleCalls.Id(), windows, new CallDemand(0, 5000, 1, 0, 0), default)).Granted!.GrantedOutput);
    }

    [Theory]
    [MemberData(nameof(Servers))]
    public async Task A_settlement_without_a_reservation_still_counts(string server)
    {
        var (redis, limiter) = Limiter(server);
        var window = Window("day", 1000);

        await limiter.SettleAsync(SampleCalls.Id(), [window], new CallUse(40, 0, 0), _time.GetUtcNow(), default);

        Assert.Equal(40, await CounterAsync(redis, window));
    }

    [Theory]
    [MemberData(nameof(Servers))]
    public async Task A_dead_process_gives_its_tokens_back_when_its_lease_ends(string server)
    {
        var (redis, limiter) = Limiter(server);
        // A generation of its own: the reservations of other tests have leases as well.
        await redis.GetDatabase().KeyDeleteAsync(CounterGenerations.Mark);
        var window = Window("day", 1000);
        var dead = SampleCalls.Id();
        await limiter.ReserveAsync(dead, [window], new CallDemand(500, 500, 500, 0, 0), default);

        _time.Advance(TimeSpan.FromMinutes(15) - TimeSpan.FromMilliseconds(1));
        Assert.NotNull((await limiter.ReserveAsync(SampleCalls.Id(), [window], new CallDemand(100, 100, 100, 0, 0), default)).Refused);
        _time.Advance(TimeSpan.FromMilliseconds(1));
        Assert.NotNull((await limiter.ReserveAsync(SampleCalls.Id(), [window], new CallDemand(100, 100, 100, 0, 0), default)).Granted);
        Assert.Equal(200, await CounterAsync(redis, window));

        // It was not dead, only slow: what it used counts, and nothing is freed twice.
        await limiter.SettleAsync(dead, [window], new CallUse(450, 0, 0), _time.GetUtcNow(), default);
        Assert.Equal(450 + 200, await CounterAsync(redis, window));
    }

    [Theory]
    [MemberData(nameof(Servers))]
    public async Task The_output_is_cut_to_what_is_left_of_the_tightest_window(string server)
    {
        var (_, limiter) = Limiter(server);
        LimitWindow[] windows = [Window("day", 10_000), Window("minute", 700), Window("tenant", 900)];

        var (granted, _) = await limiter.ReserveAsync(SampleCalls.Id(), windows, new CallDemand(300, 1000, 16, 0, 0), default);

        Assert.Equal(400, granted!.GrantedOutput);
        Assert.Equal((windows[1], 0), granted.Tightest);
    }

    [Theory]
    [MemberData(nameof(Servers))]
    public async Task The_remaining_is_what_the_next_call_may_use(string server)
    {
        var (_, limiter) = Limiter(server);
        LimitWindow[] windows = [Window("day", 10_000), Window("minute", 5_000)];

        var (granted, _) = await limiter.ReserveAsync(SampleCalls.Id(), windows, new CallDemand(300, 1000, 16, 0, 0), default);

        Assert.Equal((windows[1], 3700), granted!.Tightest);
    }

    [Theory]
    [InlineData(LimitServers.Garnet, 84, false)]
    [InlineData(LimitServers.Garnet, 85, true)]
    [InlineData(LimitServers.Redis, 84, false)]
    [InlineData(LimitServers.Redis, 85, true)]
    public async Task At_the_edge_one_token_decides(string server, int input, bool refused)
    {
        var (_, limiter) = Limiter(server);

        var result = await limiter.ReserveAsync(SampleCalls.Id(), [Window("day", 100)], new CallDemand(input, 1000, 16, 0, 0), default);

        Assert.Equal(refused, result.Refused is not null);
        if (!refused)
            Assert.Equal(16, result.Granted!.GrantedOutput);
    }

    [Theory]
    [MemberData(nameof(Servers))]
    public async Task A_refusal_leaves_no_trace_in_any_window(string server)
    {
        var (redis, limiter) = Limiter(server);
        LimitWindow[] windows = [Window("day", 10_000), Window("minute", 10_000), Window("tenant", 100)];

        var request = SampleCalls.Id();
        var (_, refused) = await limiter.ReserveAsync(request, windows, new CallDemand(300, 1000, 16, 0, 0), default);

        Assert.Equal(windows[2], refused!.Window);
        foreach (var window in windows)
            Assert.False(await redis.GetDatabase().KeyExistsAsync(await KeyAsync(redis, window.Key)), window.Key);
        Assert.False(await redis.GetDatabase().KeyExistsAsync(await KeyAsync(redis, $"res:{request:N}")));
    }

    [Theory]
    [MemberData(nameof(Servers))]
    public async Task Nothing_is_kept_for_ever(string server)
    {
        var (redis, limiter) = Limiter(server);
        var window = Window("day", 10_000);
        var request = SampleCalls.Id();

        await limiter.ReserveAsync(request, [window], new CallDemand(1, 100, 16, 0, 0), default);
        foreach (var key in new[] { await KeyAsync(redis, window.Key), await KeyAsync(redis, $"res:{request:N}") })
            Assert.InRange((await redis.GetDatabase().KeyTimeToLiveAsync(key))!.Value, TimeSpan.FromMinutes(50), TimeSpan.FromHours(26));
        await limiter.SettleAsync(request, [window], new CallUse(1, 0, 0), _time.GetUtcNow(), default);
        Assert.InRange((await redis.GetDatabase().KeyTimeToLiveAsync(await KeyAsync(redis, $"res:{request:N}")))!.Value, TimeSpan.FromMinutes(9), TimeSpan.FromMinutes(10));
        Assert.NotNull(await redis.GetDatabase().KeyTimeToLiveAsync(await KeyAsync(redis, window.Key)));
    }

    [Theory]
    [MemberData(nameof(Servers))]
    public async Task Whatever_comes_in_whatever_order_counters_stay_true(string server)
    {
        var (redis, limiter) = Limiter(server);
        var random = new Random(20260314);
        LimitWindow[] windows = [Window("day", 20_000), Window("minute", 15_000)];
        var open = new Dictionary<Guid, long>();
        var used = 0L;
        for (var i = 0; i < 400; i++)
        {
            if (open.Count > 0 && random.Next(2) == 0)
            {
                var request = open.Keys.ElementAt(random.Next(open.Count));
                var amount = random.Next((int)open[request] + 1);
                await limiter.SettleAsync(request, windows, new CallUse(amount, 0, 0), _time.GetUtcNow(), default);
                used += amount;
                open.Remove(request);
            }
            else
            {
                var (request, input) = (SampleCalls.Id(), random.Next(300));
                if ((await limiter.ReserveAsync(request, windows, new CallDemand(input, random.Next(1, 500), 1, 0, 0), default)).Granted is { } granted)
                    open[request] = input + granted.GrantedOutput;
            }

            foreach (var window in windows)
                Assert.Equal(used + open.Values.Sum(), await CounterAsync(redis, window));
            Assert.True(used + open.Values.Sum() <= 15_000);
        }
    }

    [Theory]
    [MemberData(nameof(Servers))]
    public async Task Large_limits_are_counted_to_the_token(string server)
    {
        var (redis, limiter) = Limiter(server);
        var window = Window("day", 9_000_000_000_000);

        var (granted, _) = await limiter.ReserveAsync(SampleCalls.Id(), [window], new CallDemand(4_000_000_000_001, 1_000_000_000_007, 16, 0, 0), default);

        Assert.Equal(1_000_000_000_007, granted!.GrantedOutput);
        Assert.Equal(5_000_000_000_008, await CounterAsync(redis, window));
    }

    [Theory]
    [MemberData(nameof(Servers))]
    [Trait("Checklist", "COST-04")]
    public async Task Money_and_tokens_are_reserved_in_one_step(string server)
    {
        var (redis, limiter) = Limiter(server);
        var tokens = Window("day", 100_000);
        // A dollar, of which the input takes 0.1 and each output token 0.0009.
        var money = Window("cost", 1_000_000_000) with { Unit = LimitUnit.ChargedCost };
        var request = SampleCalls.Id();

        var (granted, _) = await limiter.ReserveAsync(request, [tokens, money], new CallDemand(500, 5000, 16, 100_000_000, 900_000), default);

        Assert.Equal(1000, granted!.GrantedOutput);
        Assert.Equal((1500, 1_000_000_000), (await CounterAsync(redis, tokens), await CounterAsync(redis, money)));
        Assert.Equal(money, (await limiter.ReserveAsync(SampleCalls.Id(), [tokens, money], new CallDemand(1, 16, 16, 1, 1), default)).Refused!.Window);
        await limiter.SettleAsync(request, [tokens, money], new CallUse(600, 190_000_000, 190_000_000), _time.GetUtcNow(), default);
        Assert.Equal((600, 190_000_000), (await CounterAsync(redis, tokens), await CounterAsync(redis, money)));
    }

    [Theory]
    [MemberData(nameof(Servers))]
    public async Task What_costs_nothing_is_held_by_no_budget(string server)
    {
        var (_, limiter) = Limiter(server);
        var spent = Window("cost", 1) with { Unit = LimitUnit.ChargedCost };

        Assert.Equal(5000, (await limiter.ReserveAsync(SampleCalls.Id(), [spent], new CallDemand(500, 5000, 16, 0, 0), default)).Granted!.GrantedOutput);
    }

    [Fact]
    public async Task Without_windows_all_is_granted_and_no_server_asked()
    {
        var limiter = new LimitCounters(null!, null!, _time);

        Assert.Equal(123, (await limiter.ReserveAsync(SampleCalls.Id(), [], new CallDemand(1, 123, 1, 0, 0), default)).Granted!.GrantedOutput);
        await limiter.SettleAsync(SampleCalls.Id(), [], new CallUse(5, 0, 0), _time.GetUtcNow(), default);
    }

    private (IConnectionMultiplexer Redis, LimitCounters Limiter) Limiter(string server) => (servers.Connection(server), servers.Counters(server, _time));

    private LimitWindow Window(string name, long limit) => new(name, $"{_key}:{name}", LimitUnit.Tokens, limit, _time.GetUtcNow().AddHours(2));

    private static async Task<long> CounterAsync(IConnectionMultiplexer redis, LimitWindow window)
        => (long?)await redis.GetDatabase().StringGetAsync(await KeyAsync(redis, window.Key)) ?? 0;

    private static async Task<string> KeyAsync(IConnectionMultiplexer redis, string key)
        => CounterGenerations.Key((long)await redis.GetDatabase().StringGetAsync(CounterGenerations.Mark), key);
}
