using System.Threading.Channels;
using AiAspire.Core.Data;
using AiAspire.Core.Ledger;
using AiAspire.Core.Limits;
using Microsoft.Extensions.Time.Testing;
using StackExchange.Redis;

namespace AiAspire.Unit.CoreTests.Limits;

/// <summary>Counters that were lost are built from the ledger, and no call counts twice or not at all.</summary>
[Collection(LimitServersCollection.Name)]
public sealed class CounterGenerationsTests(LimitServers servers)
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    private readonly FakeTimeProvider _time = new(TimeProvider.System.GetUtcNow());
    private readonly FakeLedger _ledger = new();
    private readonly string _key = $"test:{SampleCalls.Id():N}";

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Theory]
    [MemberData(nameof(LimitServers.Names), MemberType = typeof(LimitServers))]
    public async Task Lost_counters_are_what_the_ledger_says(string server)
    {
        var (redis, generations, counters) = Counters(server);
        await counters.ReserveAsync(SampleCalls.Id(), [Window], new CallDemand(10, 10, 1, 0, 0), Cancellation);
        _ledger.Ended(_time.GetUtcNow(), _key, 700);
        await LoseAsync(redis);
        _time.Advance(TimeSpan.FromSeconds(1));

        var (granted, _) = await counters.ReserveAsync(SampleCalls.Id(), [Window], new CallDemand(100, 5000, 16, 0, 0), Cancellation);

        Assert.Equal(1000 - 700 - 100, granted!.GrantedOutput);
        Assert.Equal(1000, await CounterAsync(redis, generations));
    }

    [Theory]
    [MemberData(nameof(LimitServers.Names), MemberType = typeof(LimitServers))]
    public async Task A_call_that_ended_before_is_counted_from_the_ledger_and_one_that_ends_after_by_itself(string server)
    {
        var (redis, generations, counters) = Counters(server);
        var (before, after) = (SampleCalls.Id(), SampleCalls.Id());
        await counters.ReserveAsync(before, [Window], new CallDemand(100, 100, 1, 0, 0), Cancellation);
        await counters.ReserveAsync(after, [Window], new CallDemand(100, 100, 1, 0, 0), Cancellation);
        var ended = _time.GetUtcNow();
        _ledger.Ended(ended, _key, 150);
        await LoseAsync(redis);
        _time.Advance(TimeSpan.FromSeconds(1));

        // Both settlements meet the loss; the first of them builds the counters.
        await counters.SettleAsync(before, [Window], new CallUse(150, 0, 0), ended, Cancellation);
        _time.Advance(TimeSpan.FromSeconds(1));
        await counters.SettleAsync(after, [Window], new CallUse(60, 0, 0), _time.GetUtcNow(), Cancellation);

        Assert.Equal(210, await CounterAsync(redis, generations));
        await counters.SettleAsync(after, [Window], new CallUse(60, 0, 0), _time.GetUtcNow(), Cancellation);
        Assert.Equal(210, await CounterAsync(redis, generations));
    }

    [Theory]
    [MemberData(nameof(LimitServers.Names), MemberType = typeof(LimitServers))]
    public async Task A_call_that_ended_before_is_not_counted_again_though_its_process_knows_of_the_new_counters_already(string server)
    {
        var (redis, generations, counters) = Counters(server);
        var (before, during) = (SampleCalls.Id(), SampleCalls.Id());
        await counters.ReserveAsync(before, [Window], new CallDemand(100, 100, 1, 0, 0), Cancellation);
        var ended = _time.GetUtcNow();
        _ledger.Ended(ended, _key, 150);
        await LoseAsync(redis);
        _time.Advance(TimeSpan.FromSeconds(1));
        // Another call of this process meets the loss first, and by a clock that is behind it ends before the counters were built.
        await counters.ReserveAsync(during, [Window], new CallDemand(100, 100, 1, 0, 0), Cancellation);

        await counters.SettleAsync(before, [Window], new CallUse(150, 0, 0), ended, Cancellation);
        Assert.Equal(150 + 200, await CounterAsync(redis, generations));
        await counters.SettleAsync(during, [Window], new CallUse(60, 0, 0), ended, Cancellation);
        Assert.Equal(150, await CounterAsync(redis, generations));
    }

    [Fact]
    public async Task An_abandoned_attempt_is_counted_once_though_the_counters_were_built_between_its_closing_and_its_counting()
    {
        var (redis, generations, counters) = Counters(LimitServers.Garnet);
        var budget = new Budget
        {
            TenantId = TenantScope.PlatformTenantId,
            BudgetId = SampleCalls.Id(),
            Name = "service",
            Scope = BudgetScope.Service,
            Unit = BudgetUnit.Usd,
            Period = LimitPeriod.Day,
            Limit = 1,
            ChangedAt = _time.GetUtcNow(),
        };
        var caller = SampleCalls.Caller();
        var book = new BudgetBook(null!);
        book.Hold(caller.TenantId, budget);
        var closed = _time.GetUtcNow();
        var window = LimitWindows.Of(budget, caller.TenantId, caller.Pseudonym, closed);
        _ledger.Ended(closed, window.Key, 2_000_000);
        await LoseAsync(redis);
        _time.Advance(TimeSpan.FromSeconds(1));
        await counters.ReserveAsync(SampleCalls.Id(), [Window], new CallDemand(1, 1, 1, 0, 0), Cancellation);

        await new AbandonedCounts(LimitServers.Guard(redis, generations, _time), book).CountAsync(
            [new AbandonedAttempt(caller.TenantId, SampleCalls.Id(), SampleCalls.Id(), caller.Pseudonym, "chat", "pro", 0.002m, closed, closed)], Cancellation);

        Assert.Equal(2_000_000, (long)await redis.GetDatabase().StringGetAsync(CounterGenerations.Key(await generations.CurrentAsync(Cancellation), window.Key)));
    }

    [Fact]
    public async Task What_was_committed_late_is_found_by_the_second_look()
    {
        var (redis, generations, counters) = Counters(LimitServers.Garnet);
        await LoseAsync(redis);
        var generation = await generations.CurrentAsync(Cancellation);
        var counted = new Dictionary<string, LedgerCounter>(_ledger.Counters, StringComparer.Ordinal);
        // It had ended before the counters were built, and its commit came after.
        _ledger.Ended(_time.GetUtcNow().AddSeconds(-1), _key, 42);

        await generations.CatchUpAsync(generation, counted, Cancellation);

        Assert.Equal(42, await CounterAsync(redis, generations));
        Assert.Equal(958, (await counters.ReserveAsync(SampleCalls.Id(), [Window], new CallDemand(0, 5000, 1, 0, 0), Cancellation)).Granted!.GrantedOutput);
    }

    /// <summary>
    /// A settlement tries for 15 s, and its last try may wait for another's commit and take 10 s itself: what had ended before the counters were built may be
    /// in the ledger some 40 s later.
    /// </summary>
    [Fact]
    public async Task The_second_look_comes_by_itself_and_late_enough_for_a_settlement_that_waited_out_a_restart()
    {
        var time = new WatchedTime(_time.GetUtcNow());
        var redis = servers.Connection(LimitServers.Garnet);
        // Those of other tests may be newer by their clocks.
        await LoseAsync(redis);
        using var generations = LimitServers.Generations(redis, time, _ledger);
        var guard = LimitServers.Guard(redis, generations, time);
        _ledger.Ended(time.GetUtcNow().AddSeconds(-2), _key, 5);
        // A call outlived its lease, so the counters follow the ledger's word.
        await guard.RebuildAsync(SampleCalls.Id());
        var generation = await generations.CurrentAsync(Cancellation);
        await generations.StartAsync(Cancellation);
        var wait = await time.NextTimerAsync("the second look to be set");
        Assert.InRange(wait, TimeSpan.FromSeconds(40), TimeSpan.FromMinutes(2));

        _ledger.Ended(time.GetUtcNow().AddSeconds(-1), _key, 42);
        time.Advance(wait);
        await _ledger.AskedAsync(2);
        // Ends the look that it has begun.
        await generations.StopAsync(Cancellation);

        Assert.Equal(47, (long?)await redis.GetDatabase().StringGetAsync(CounterGenerations.Key(generation, _key)));
    }

    [Fact]
    public async Task Of_many_who_notice_the_loss_one_builds()
    {
        var redis = servers.Connection(LimitServers.Garnet);
        await LoseAsync(redis);
        _ledger.Ended(_time.GetUtcNow().AddSeconds(-1), _key, 5);
        CounterGenerations[] replicas = [.. Enumerable.Range(0, 4).Select(_ => LimitServers.Generations(redis, TimeProvider.System, _ledger))];

        var found = await Task.WhenAll(replicas.SelectMany(r => Enumerable.Range(0, 25).Select(_ => Task.Run(() => r.CurrentAsync(Cancellation).AsTask()))));

        Assert.Single(found.Distinct());
        Assert.Equal(1, _ledger.Asked);
        Assert.Equal(5, await CounterAsync(redis, replicas[0]));
    }

    [Fact]
    public async Task Counters_that_are_behind_are_given_up_once_for_all_replicas()
    {
        var redis = servers.Connection(LimitServers.Garnet);
        await LoseAsync(redis);
        CounterGenerations[] replicas = [LimitServers.Generations(redis, _time, _ledger), LimitServers.Generations(redis, _time, _ledger)];
        var first = await replicas[0].CurrentAsync(Cancellation);
        Assert.Equal(first, await replicas[1].CurrentAsync(Cancellation));
        _ledger.Ended(_time.GetUtcNow(), _key, 9);
        _time.Advance(TimeSpan.FromSeconds(5));

        var missed = _time.GetUtcNow();
        await replicas[0].RenewAsync(missed, Cancellation);
        var second = await replicas[0].CurrentAsync(Cancellation);
        _time.Advance(TimeSpan.FromSeconds(5));
        await replicas[1].RenewAsync(missed, Cancellation);

        Assert.NotEqual(first, second);
        Assert.Equal(second, await replicas[1].CurrentAsync(Cancellation));
        Assert.Equal(9, await CounterAsync(redis, replicas[1]));
    }

    [Fact]
    public async Task Who_missed_something_after_another_replica_had_built_the_counters_has_them_built_once_more()
    {
        var redis = servers.Connection(LimitServers.Garnet);
        await LoseAsync(redis);
        CounterGenerations[] replicas = [LimitServers.Generations(redis, _time, _ledger), LimitServers.Generations(redis, _time, _ledger)];
        await replicas[0].CurrentAsync(Cancellation);
        await LoseAsync(redis);
        _time.Advance(TimeSpan.FromSeconds(5));
        await replicas[1].CurrentAsync(Cancellation);
        // Still without Redis, this one's calls go on for a while.
        _time.Advance(TimeSpan.FromSeconds(5));
        _ledger.Ended(_time.GetUtcNow(), _key, 8);
        var guard = LimitServers.Guard(redis, replicas[0], _time);
        guard.FallBehind(SampleCalls.Id(), new TimeoutException());
        _time.Advance(TimeSpan.FromSeconds(5));

        await guard.CatchUpAsync(Cancellation);

        Assert.Equal(8, await CounterAsync(redis, replicas[0]));
        Assert.Equal(await replicas[0].CurrentAsync(Cancellation), (long)await redis.GetDatabase().StringGetAsync(CounterGenerations.Mark));
    }

    [Theory]
    [InlineData(-1, true)]
    [InlineData(0, false)]
    [InlineData(9, false)]
    [InlineData(-9, true)]
    public void A_generation_counts_what_ended_before_it_by_the_ledgers_microseconds(int ticks, bool counts)
        => Assert.Equal(counts, CounterGenerations.Counts(1_000, CounterGenerations.MadeAt(1_000).AddTicks(ticks)));

    [Fact]
    public async Task What_was_written_into_the_ledger_past_the_counters_is_in_them_though_this_process_has_heard_only_of_older_ones()
    {
        var redis = servers.Connection(LimitServers.Garnet);
        await LoseAsync(redis);
        CounterGenerations[] replicas = [LimitServers.Generations(redis, _time, _ledger), LimitServers.Generations(redis, _time, _ledger)];
        await replicas[0].CurrentAsync(Cancellation);
        await LoseAsync(redis);
        _time.Advance(TimeSpan.FromSeconds(5));
        var second = await replicas[1].CurrentAsync(Cancellation);
        _ledger.Ended(_time.GetUtcNow(), _key, 7);
        _time.Advance(TimeSpan.FromSeconds(5));

        await replicas[0].RenewAsync(_time.GetUtcNow(), Cancellation);

        Assert.NotEqual(second, await replicas[0].CurrentAsync(Cancellation));
        Assert.Equal(7, await CounterAsync(redis, replicas[0]));
    }

    private LimitWindow Window => new("day", _key, LimitUnit.Tokens, 1000, _time.GetUtcNow().AddHours(2));

    private (IConnectionMultiplexer Redis, CounterGenerations Generations, LimitCounters Counters) Counters(string server)
    {
        var redis = servers.Connection(server);
        var generations = LimitServers.Generations(redis, _time, _ledger);
        return (redis, generations, new LimitCounters(redis, generations, _time));
    }

    /// <summary>As a restart without persistence leaves it, as far as this test can see.</summary>
    private static Task LoseAsync(IConnectionMultiplexer redis) => redis.GetDatabase().KeyDeleteAsync(CounterGenerations.Mark);

    private async Task<long> CounterAsync(IConnectionMultiplexer redis, CounterGenerations generations)
        => (long?)await redis.GetDatabase().StringGetAsync(CounterGenerations.Key(await generations.CurrentAsync(Cancellation), _key)) ?? 0;

    private static async Task<T> ReadAsync<T>(Channel<T> channel, string what)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(Cancellation);
        limit.CancelAfter(Patience);
        try
        {
            return await channel.Reader.ReadAsync(limit.Token);
        }
        catch (OperationCanceledException e)
        {
            throw new TimeoutException($"Waited {Patience.TotalSeconds} s for {what}.", e);
        }
    }

    /// <summary>Tells of the timers that are set, so that time passes only when somebody waits for it.</summary>
    private sealed class WatchedTime(DateTimeOffset now) : FakeTimeProvider(now)
    {
        private readonly Channel<TimeSpan> _timers = Channel.CreateUnbounded<TimeSpan>();

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
        {
            var timer = base.CreateTimer(callback, state, dueTime, period);
            _timers.Writer.TryWrite(dueTime);
            return timer;
        }

        public Task<TimeSpan> NextTimerAsync(string what) => ReadAsync(_timers, what);
    }

    private sealed class FakeLedger : ILedgerCounters
    {
        private readonly Channel<int> _asked = Channel.CreateUnbounded<int>();
        private readonly List<(DateTimeOffset At, string Key, long Amount)> _calls = [];

        public int Asked { get; private set; }

        public Dictionary<string, LedgerCounter> Counters => Sum(DateTimeOffset.MaxValue);

        public async Task AskedAsync(int times)
        {
            while (await ReadAsync(_asked, $"the ledger to be asked {times} times") < times)
            {
            }
        }

        public void Ended(DateTimeOffset at, string key, long amount) => _calls.Add((at, key, amount));

        public Task<Dictionary<string, LedgerCounter>> SumAsync(DateTimeOffset until, CancellationToken cancellationToken)
        {
            _asked.Writer.TryWrite(++Asked);
            return Task.FromResult(Sum(until));
        }

        private Dictionary<string, LedgerCounter> Sum(DateTimeOffset until) => _calls.Where(c => c.At < until).GroupBy(c => c.Key, StringComparer.Ordinal)
            .ToDictionary(g => g.Key, g => new LedgerCounter(g.Sum(c => c.Amount), TimeProvider.System.GetUtcNow().AddHours(2)), StringComparer.Ordinal);
    }
}
