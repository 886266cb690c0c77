using AiAspire.Core.Limits;
using Microsoft.Extensions.Time.Testing;
using StackExchange.Redis;

namespace AiAspire.Unit.CoreTests.Limits;

/// <summary>The two scripts on real servers.</summary>
[Collection(LimitServersCollection.Name)]
public sealed class TokenLimiterTests(LimitServers servers)
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
        TokenLimiter[] limiters = [new(redis, _time), new(redis, _time)];
        var window = Window("day", 1500);

        var results = await Task.WhenAll(Enumerable.Range(0, 200).Select(i => Task.Run(() => limiters[i % 2].ReserveAsync(SampleCalls.Id(), [window], 500, 1000, 1000))));

        Assert.Single(results, r => r.Granted is not null);
        Assert.All(results.Where(r => r.Granted is null), r => Assert.Equal((0, 1500), (r.Refused!.Used, r.Refused.Reserved)));
        Assert.Equal((0, 1500), await CountersAsync(redis, window));
    }

    [Theory]
    [MemberData(nameof(Servers))]
    public async Task Parallel_calls_of_any_size_never_get_more_than_there_is(string server)
    {
        var redis = servers.Connection(server);
        var limiter = new TokenLimiter(redis, _time);
        var window = Window("day", 10_000);

        var results = await Task.WhenAll(Enumerable.Range(0, 100).Select(i => Task.Run(() => limiter.ReserveAsync(SampleCalls.Id(), [window], 100 + i, 50 + (i * 7 % 300), 16))));

        var granted = results.Select((r, i) => r.Granted is { } g ? 100 + i + g.GrantedOutput : 0).Sum();
        Assert.True(granted <= 10_000, $"{granted} of 10000 granted");
        Assert.Equal((0, granted), await CountersAsync(redis, window));
    }

    [Theory]
    [MemberData(nameof(Servers))]
    public async Task A_reservation_that_comes_again_holds_its_part_once(string server)
    {
        var (redis, limiter) = Limiter(server);
        var window = Window("day", 1000);
        var request = SampleCalls.Id();

        for (var i = 0; i < 3; i++)
            Assert.Equal(600, (await limiter.ReserveAsync(request, [window], 300, 600, 600)).Granted!.GrantedOutput);
        Assert.Equal((0, 900), await CountersAsync(redis, window));
        // A repeat with other numbers replaces the first.
        Assert.NotNull((await limiter.ReserveAsync(request, [window], 100, 200, 200)).Granted);
        Assert.Equal((0, 300), await CountersAsync(redis, window));
    }

    [Theory]
    [MemberData(nameof(Servers))]
    public async Task A_settlement_counts_once_and_frees_the_rest(string server)
    {
        var (redis, limiter) = Limiter(server);
        LimitWindow[] windows = [Window("day", 1000), Window("minute", 2000)];
        var request = SampleCalls.Id();
        await limiter.ReserveAsync(request, windows, 300, 600, 600);

        for (var i = 0; i < 3; i++)
            await limiter.SettleAsync(request, windows, 350);

        Assert.All(await Task.WhenAll(windows.Select(w => CountersAsync(redis, w))), counters => Assert.Equal((350, 0), counters));
        Assert.Equal(650, (await limiter.ReserveAsync(SampleCalls.Id(), windows, 0, 5000, 1)).Granted!.GrantedOutput);
    }

    [Theory]
    [MemberData(nameof(Servers))]
    public async Task A_settlement_without_a_reservation_still_counts(string server)
    {
        var (redis, limiter) = Limiter(server);
        var window = Window("day", 1000);

        await limiter.SettleAsync(SampleCalls.Id(), [window], 40);

        Assert.Equal((40, 0), await CountersAsync(redis, window));
    }

    [Theory]
    [MemberData(nameof(Servers))]
    public async Task A_dead_process_gives_its_tokens_back_when_its_lease_ends(string server)
    {
        var (redis, limiter) = Limiter(server);
        var window = Window("day", 1000);
        var dead = SampleCalls.Id();
        await limiter.ReserveAsync(dead, [window], 500, 500, 500);

        _time.Advance(TimeSpan.FromMinutes(15) - TimeSpan.FromMilliseconds(1));
        Assert.NotNull((await limiter.ReserveAsync(SampleCalls.Id(), [window], 100, 100, 100)).Refused);
        _time.Advance(TimeSpan.FromMilliseconds(1));
        Assert.NotNull((await limiter.ReserveAsync(SampleCalls.Id(), [window], 100, 100, 100)).Granted);
        Assert.Equal((0, 200), await CountersAsync(redis, window));

        // It was not dead, only slow: what it used counts, and nothing is freed twice.
        await limiter.SettleAsync(dead, [window], 450);
        Assert.Equal((450, 200), await CountersAsync(redis, window));
    }

    [Theory]
    [MemberData(nameof(Servers))]
    public async Task The_output_is_cut_to_what_is_left_of_the_tightest_window(string server)
    {
        var (_, limiter) = Limiter(server);
        LimitWindow[] windows = [Window("day", 10_000), Window("minute", 700), Window("tenant", 900)];

        var (granted, _) = await limiter.ReserveAsync(SampleCalls.Id(), windows, 300, 1000, 16);

        Assert.Equal(400, granted!.GrantedOutput);
        Assert.Equal((windows[1], 0), granted.Tightest);
    }

    [Theory]
    [MemberData(nameof(Servers))]
    public async Task The_remaining_is_what_the_next_call_may_use(string server)
    {
        var (_, limiter) = Limiter(server);
        LimitWindow[] windows = [Window("day", 10_000), Window("minute", 5_000)];

        var (granted, _) = await limiter.ReserveAsync(SampleCalls.Id(), windows, 300, 1000, 16);

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

        var result = await limiter.ReserveAsync(SampleCalls.Id(), [Window("day", 100)], input, 1000, 16);

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

        var (_, refused) = await limiter.ReserveAsync(SampleCalls.Id(), windows, 300, 1000, 16);

        Assert.Equal(windows[2], refused!.Window);
        foreach (var key in windows.SelectMany(w => new[] { w.Key, w.Key + ":l", w.Key + ":a" }))
            Assert.False(await redis.GetDatabase().KeyExistsAsync(key), key);
    }

    [Theory]
    [MemberData(nameof(Servers))]
    public async Task Nothing_is_kept_for_ever(string server)
    {
        var (redis, limiter) = Limiter(server);
        var window = Window("day", 10_000);
        var request = SampleCalls.Id();

        await limiter.ReserveAsync(request, [window], 1, 100, 16);
        foreach (var key in new[] { window.Key, window.Key + ":l", window.Key + ":a" })
            Assert.InRange((await redis.GetDatabase().KeyTimeToLiveAsync(key))!.Value, TimeSpan.FromMinutes(50), TimeSpan.FromHours(26));
        await limiter.SettleAsync(request, [window], 1);
        Assert.InRange((await redis.GetDatabase().KeyTimeToLiveAsync($"aia:lim:done:{request:N}"))!.Value, TimeSpan.FromHours(23), TimeSpan.FromHours(24));
        Assert.NotNull(await redis.GetDatabase().KeyTimeToLiveAsync(window.Key));
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
                await limiter.SettleAsync(request, windows, amount);
                used += amount;
                open.Remove(request);
            }
            else
            {
                var (request, input) = (SampleCalls.Id(), random.Next(300));
                if ((await limiter.ReserveAsync(request, windows, input, random.Next(1, 500), 1)).Granted is { } granted)
                    open[request] = input + granted.GrantedOutput;
            }

            foreach (var window in windows)
                Assert.Equal((used, open.Values.Sum()), await CountersAsync(redis, window));
            Assert.True(used + open.Values.Sum() <= 15_000);
        }
    }

    [Theory]
    [MemberData(nameof(Servers))]
    public async Task Large_limits_are_counted_to_the_token(string server)
    {
        var (redis, limiter) = Limiter(server);
        var window = Window("day", 9_000_000_000_000);

        var (granted, _) = await limiter.ReserveAsync(SampleCalls.Id(), [window], 4_000_000_000_001, 1_000_000_000_007, 16);

        Assert.Equal(1_000_000_000_007, granted!.GrantedOutput);
        Assert.Equal((0, 5_000_000_000_008), await CountersAsync(redis, window));
    }

    [Fact]
    public async Task Without_windows_all_is_granted_and_no_server_asked()
    {
        var limiter = new TokenLimiter(null!, _time);

        Assert.Equal(123, (await limiter.ReserveAsync(SampleCalls.Id(), [], 1, 123, 1)).Granted!.GrantedOutput);
        await limiter.SettleAsync(SampleCalls.Id(), [], 5);
    }

    private (IConnectionMultiplexer Redis, TokenLimiter Limiter) Limiter(string server) => (servers.Connection(server), new TokenLimiter(servers.Connection(server), _time));

    private LimitWindow Window(string name, long limit) => new(name, $"{_key}:{name}", limit, _time.GetUtcNow().AddHours(2));

    private static async Task<(long Used, long Reserved)> CountersAsync(IConnectionMultiplexer redis, LimitWindow window)
    {
        var values = await redis.GetDatabase().HashGetAsync(window.Key, ["used", "reserved"]);
        return (values[0].IsNull ? 0 : (long)values[0], values[1].IsNull ? 0 : (long)values[1]);
    }
}
