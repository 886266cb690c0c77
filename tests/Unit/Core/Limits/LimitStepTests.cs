using System.Runtime.CompilerServices;
using AiAspire.Core.Chat;
using AiAspire.Core.Ledger;
using AiAspire.Core.Limits;
using AiAspire.Core.Models;
using AiAspire.Core.Tenancy;
using AiAspire.Core.Wire;
using AiAspire.Unit.Architecture;
using AiAspire.Unit.CoreTests.Chat;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;

namespace AiAspire.Unit.CoreTests.Limits;

[Collection(LimitServersCollection.Name)]
public sealed class LimitStepTests(LimitServers servers)
{
    // Noon today: the counters live by the server's clock, and the tests must not straddle a day.
    private readonly FakeTimeProvider _time = new(new DateTimeOffset(TimeProvider.System.GetUtcNow().Date, TimeSpan.Zero).AddHours(12).AddSeconds(20));


    [Fact]
    [Trait("Checklist", "COST-06")]
    [Trait("Checklist", "COST-07")]
    public async Task Above_the_limit_the_answer_is_429_with_the_time_at_which_it_frees()
    {
        var caller = SampleCalls.Caller(Limits(userDay: 1000));
        await RunAsync(caller, used: 990);
        var call = Call(caller);

        var refusal = await Assert.ThrowsAsync<WireException>(() => SampleCalls.CollectAsync(Step(call.Caller).InvokeAsync(call, Never, TestContext.Current.CancellationToken)));

        Assert.Equal((429, "rate_limit_error", "rate_limit_exceeded"), (refusal.Status, refusal.Type, refusal.Code));
        Assert.Equal(TimeSpan.FromHours(12) - TimeSpan.FromSeconds(20), refusal.RetryAfter);
        Assert.False(refusal.ShouldRetry);
        Assert.Contains("user_tokens_per_day", refusal.Message, StringComparison.Ordinal);
        Assert.Equal(("user_tokens_per_day", 1000, 10), (call.Limit!.Name, call.Limit.Limit, call.Limit.Remaining));
    }

    [Fact]
    [Trait("Checklist", "COST-06")]
    public async Task A_limit_that_frees_within_two_minutes_may_be_tried_again()
    {
        var caller = SampleCalls.Caller(Limits(tenantMinute: 100));
        await RunAsync(caller, used: 100);

        var refusal = await Assert.ThrowsAsync<WireException>(() => RunAsync(caller, used: 1));

        Assert.Equal(TimeSpan.FromSeconds(40), refusal.RetryAfter);
        Assert.True(refusal.ShouldRetry);
    }

    [Fact]
    [Trait("Checklist", "COST-01")]
    public async Task Tokens_count_and_not_requests()
    {
        var caller = SampleCalls.Caller(Limits(userDay: 1000));
        for (var i = 0; i < 50; i++)
            await RunAsync(caller, used: 1);

        Assert.Equal(950, await LeftAsync(caller));
        await RunAsync(caller, used: 900);
        await Assert.ThrowsAsync<WireException>(() => RunAsync(caller, used: 1, input: 40));
    }

    [Fact]
    [Trait("Checklist", "COST-03")]
    public async Task The_tenants_limit_holds_over_all_its_users_and_no_other_tenant()
    {
        var tenant = SampleCalls.Id();
        await RunAsync(SampleCalls.Caller(Limits(userDay: 100_000, tenantDay: 1000), tenant), used: 990);

        var refusal = await Assert.ThrowsAsync<WireException>(() => RunAsync(SampleCalls.Caller(Limits(userDay: 100_000, tenantDay: 1000), tenant), used: 1));

        Assert.Contains("tenant_tokens_per_day", refusal.Message, StringComparison.Ordinal);
        await RunAsync(SampleCalls.Caller(Limits(userDay: 100_000, tenantDay: 1000)), used: 1);
    }

    [Fact]
    [Trait("Checklist", "COST-02")]
    public void The_shipped_tiers_have_the_shipped_limits()
    {
        var seed = Repository.Read("Migrator/Seed.cs");

        Assert.Contains("\"free\", tokensPerDay: 10_000, isDefault: true", seed, StringComparison.Ordinal);
        Assert.Contains("\"pro\", tokensPerDay: 100_000, isDefault: false", seed, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(10_000)]
    [InlineData(100_000)]
    [Trait("Checklist", "COST-02")]
    public async Task A_tiers_limit_is_reached_to_the_token(long perDay)
    {
        var caller = SampleCalls.Caller(Limits(userDay: perDay));
        await RunAsync(caller, used: perDay - 36);

        await Assert.ThrowsAsync<WireException>(() => RunAsync(caller, used: 0, input: 21));
        await RunAsync(caller, used: 36, input: 20);
        Assert.Equal(0, await LeftAsync(caller));
    }

    [Fact]
    public async Task The_output_cap_is_cut_to_the_choices_share_of_what_is_left()
    {
        var call = Call(SampleCalls.Caller(Limits(userDay: 1000)), """{"model":"m","messages":[{"role":"user","content":"a"}],"n":3}""", input: 100);
        call.OutputCap = 500;
        var seen = 0;

        await SampleCalls.CollectAsync(Step(call.Caller).InvokeAsync(call, (c, _) =>
        {
            seen = c.OutputCap;
            return Empty();
        }, default));

        Assert.Equal(300, seen);
        Assert.Equal(0, call.Limit!.Remaining);
    }

    [Theory]
    [InlineData("ends")]
    [InlineData("throws")]
    [InlineData("cancelled")]
    [InlineData("stopped")]
    public async Task However_the_call_ends_its_reservation_is_freed(string end)
    {
        var caller = SampleCalls.Caller(Limits(userDay: 1000));
        var call = Call(caller);
        using var leaving = new CancellationTokenSource();
        var events = Step(call.Caller).InvokeAsync(call, (c, token) => Reply(c, end, leaving, token), leaving.Token).GetAsyncEnumerator(TestContext.Current.CancellationToken);

        await events.MoveNextAsync();
        Assert.Equal(1000 - 20 - 256, await LeftAsync(caller));
        if (end != "stopped")
            await Record.ExceptionAsync(async () => await events.MoveNextAsync());
        await events.DisposeAsync();
        await call.CountAsync(charged: true);

        Assert.Equal(end == "throws" ? 1000 : 970, await LeftAsync(caller));
    }

    [Fact]
    public async Task Without_the_counters_nothing_is_spent()
    {
        await using var gone = await GoneAsync();
        var call = Call(SampleCalls.Caller(Limits(userDay: 1000)));
        var step = LimitServers.Step(gone, _time, call.Caller, new LimitsOptions());

        var refusal = await Assert.ThrowsAsync<WireException>(() => SampleCalls.CollectAsync(step.InvokeAsync(call, Never, default)));

        Assert.Equal((503, "limits_unavailable"), (refusal.Status, refusal.Code));
        Assert.NotNull(refusal.RetryAfter);
    }

    [Fact]
    public async Task With_a_local_share_each_process_goes_on_within_it()
    {
        await using var gone = await GoneAsync();
        var caller = SampleCalls.Caller(Limits(userDay: 10_000));
        var step = LimitServers.Step(gone, _time, caller, new LimitsOptions { WithoutCounters = WithoutCounters.LocalShare, LocalSharePercent = 10 });

        for (var i = 0; i < 4; i++)
        {
            var call = Call(caller);
            await SampleCalls.CollectAsync(step.InvokeAsync(call, (c, _) => Used(c, 240), default));
            await call.CountAsync(charged: true);
        }

        var refusal = await Assert.ThrowsAsync<WireException>(() => SampleCalls.CollectAsync(step.InvokeAsync(Call(caller, input: 30), Never, default)));
        Assert.Equal((429, "rate_limit_exceeded"), (refusal.Status, refusal.Code));
    }

    [Fact]
    [Trait("Checklist", "COST-04")]
    public async Task A_hard_cost_limit_disables_the_feature_and_no_other()
    {
        var caller = SampleCalls.Caller();
        // A cent a day; the target costs 2.5 and 10 dollars a million tokens.
        var budget = Budget(caller.TenantId, BudgetScope.Feature, "summaries", 0.01m);
        var spent = Call(caller, feature: "summaries");
        await RunAsync(spent, new TokenUsage(0, 0, 0, 1000, 0), budget);

        var refusal = await Assert.ThrowsAsync<WireException>(() => RunAsync(Call(caller, feature: "summaries"), default, budget));
        await RunAsync(Call(caller, feature: "other"), default, budget);

        Assert.Equal((429, "insufficient_quota", false), (refusal.Status, refusal.Code, refusal.ShouldRetry));
        Assert.Contains("daily-summaries of $0.01 leaves $0", refusal.Message, StringComparison.Ordinal);
        Assert.Equal(TimeSpan.FromHours(12) - TimeSpan.FromSeconds(20), refusal.RetryAfter);
    }

    [Fact]
    [Trait("Checklist", "COST-04")]
    public async Task Money_caps_the_output_at_the_dearest_targets_price()
    {
        var caller = SampleCalls.Caller();
        var call = SampleCalls.Call(null, caller, _time, SampleCalls.Target("cheap", 1, 1), SampleCalls.Target("dear", 2, 20));
        call.OutputCap = 1000;
        // What is left after the input pays for 100 tokens of the dear one.
        var budget = Budget(caller.TenantId, BudgetScope.User, null, (call.EstimatedInput * 2 / 1_000_000m) + 0.002m);

        await RunAsync(call, new TokenUsage(1, 0, 0, 1, 0), budget);

        Assert.Equal(100, call.OutputCap);
    }

    [Theory]
    [InlineData(200_000, 200)]
    [InlineData(200_001, 100)]
    [Trait("Checklist", "COST-04")]
    public async Task Money_caps_the_output_at_the_long_contexts_price(long input, int granted)
    {
        var caller = SampleCalls.Caller();
        var target = SampleCalls.Target("dear", 2, 10) with { Price = SampleCalls.Price("dear", 2, 10, longContext: new LongContextPrice(200_000, 4, 4, 4, 20, 20)) };
        var call = SampleCalls.Call(null, caller, _time, target);
        (call.OutputCap, call.EstimatedInput) = (1000, input);
        var budget = Budget(caller.TenantId, BudgetScope.User, null, (input * (input > 200_000 ? 4 : 2) / 1_000_000m) + 0.002m);

        await RunAsync(call, new TokenUsage(1, 0, 0, 1, 0), budget);

        Assert.Equal(granted, call.OutputCap);
    }

    [Fact]
    [Trait("Checklist", "COST-04")]
    public async Task A_free_check_of_content_is_not_held_back_by_what_is_used_up()
    {
        var caller = SampleCalls.Caller(Limits(userDay: 1000, tenantDay: 1000));
        var budgets = new[] { Budget(caller.TenantId, BudgetScope.User, null, 0m) };
        await RunAsync(caller, used: 1000);
        await Assert.ThrowsAsync<WireException>(() => RunAsync(Call(caller), default, budgets));

        await RunAsync(Check(caller, price: 0), default, budgets);

        // One that costs something is a call like any other.
        await Assert.ThrowsAsync<WireException>(() => RunAsync(Check(caller, price: 0.01m), default));
    }

    [Fact]
    public async Task Free_checks_keep_to_the_tenants_rate()
    {
        var caller = SampleCalls.Caller(Limits(tenantMinute: 100));
        for (var i = 0; i < 5; i++)
            await RunAsync(Check(caller, price: 0), default);

        var refusal = await Assert.ThrowsAsync<WireException>(() => RunAsync(Check(caller, price: 0), default));
        Assert.Contains("tenant_tokens_per_minute", refusal.Message, StringComparison.Ordinal);
    }

    private ChatCall Check(Caller caller, decimal price)
        => SampleCalls.CallOf(SampleCalls.Moderation("""{"model":"one-model","input":"is this harmless?"}"""), caller, _time, "moderations", SampleCalls.Target("one", price, 0));

    /// <summary>A run of a job that was stopped, and the run after it that ends the job: what the ledger says of each, the counters say.</summary>
    [Fact]
    [Trait("Checklist", "COST-01")]
    [Trait("Checklist", "LOAD-08")]
    public async Task What_is_done_again_does_not_count()
    {
        var caller = SampleCalls.Caller(Limits(userDay: 10_000));
        var stopped = Run(caller, undone: false);
        await using (var events = new SettleStep(new RecordingBooks()).InvokeAsync(stopped, Through(caller), default).GetAsyncEnumerator(TestContext.Current.CancellationToken))
            await events.MoveNextAsync();

        Assert.Equal(0m, new SettledCall(stopped, "aborted", _time.GetUtcNow(), TimeSpan.Zero, stopped.EndAs("aborted").Charged).ChargedCost);
        Assert.Equal(10_000, await LeftAsync(caller));
        await SampleCalls.CollectAsync(new SettleStep(new RecordingBooks()).InvokeAsync(Run(caller, undone: false), Through(caller), default));
        Assert.Equal(9_900, await LeftAsync(caller));
    }

    [Fact]
    [Trait("Checklist", "LOAD-08")]
    public async Task What_the_books_undo_does_not_count()
    {
        var caller = SampleCalls.Caller(Limits(userDay: 10_000));
        var books = new RecordingBooks { SettlingFails = new InvalidOperationException("the lease was lost") };

        await Assert.ThrowsAsync<InvalidOperationException>(() => SampleCalls.CollectAsync(new SettleStep(books).InvokeAsync(Run(caller, undone: true), Through(caller), default)));

        Assert.Equal(10_000, await LeftAsync(caller));
    }

    private ChatNext Through(Caller caller) => (call, token) => Step(caller).InvokeAsync(call, (c, _) => Used(c, 100), token);

    private ChatCall Run(Caller caller, bool undone)
    {
        var sample = Call(caller);
        return new ChatCall
        {
            RequestId = sample.RequestId,
            Caller = caller,
            Request = sample.Request,
            ConversationId = sample.ConversationId,
            StartedAt = sample.StartedAt,
            Route = sample.Route,
            EstimatedInput = 20,
            OutputCap = 256,
            AlsoSettle = undone ? static _ => { } : null,
            EndUnfinished = static () => null,
        };
    }

    [Fact]
    public async Task A_budget_for_a_tier_holds_only_its_users()
    {
        var caller = SampleCalls.Caller();
        await RunAsync(Call(caller), default, Budget(caller.TenantId, BudgetScope.User, "free", 0m));

        await Assert.ThrowsAsync<WireException>(() => RunAsync(Call(caller), default, Budget(caller.TenantId, BudgetScope.User, "PRO", 0m)));
    }

    private Budget Budget(Guid tenant, BudgetScope scope, string? selector, decimal limit) => new()
    {
        TenantId = tenant,
        BudgetId = SampleCalls.Id(),
        Name = $"daily-{selector ?? "all"}",
        Scope = scope,
        Selector = selector,
        Unit = BudgetUnit.Usd,
        Period = LimitPeriod.Day,
        Limit = limit,
        ChangedAt = _time.GetUtcNow(),
    };

    private async Task RunAsync(ChatCall call, TokenUsage usage, params Budget[] budgets)
    {
        await SampleCalls.CollectAsync(servers.Step(LimitServers.Garnet, _time, call.Caller, budgets).InvokeAsync(call, (c, _) => Used(c, usage), default));
        await call.CountAsync(charged: true);
    }

    private LimitStep Step(Caller caller) => servers.Step(LimitServers.Garnet, _time, caller);

    private static Task<StackExchange.Redis.ConnectionMultiplexer> GoneAsync()
        => StackExchange.Redis.ConnectionMultiplexer.ConnectAsync("127.0.0.1:1,abortConnect=false,connectTimeout=200,asyncTimeout=500,connectRetry=0");

    private static Entitlements Limits(long? userDay = null, long? tenantDay = null, long? tenantMinute = null) => new("t", ["*"], ["*"], userDay, tenantDay, tenantMinute, 1024);

    private ChatCall Call(Caller caller, string? json = null, long input = 20, string feature = "chat")
    {
        var call = SampleCalls.Call(json, caller, _time, feature, SampleCalls.Target());
        call.EstimatedInput = input;
        return call;
    }

    private async Task RunAsync(Caller caller, long used, long input = 20)
    {
        var call = Call(caller, input: input);
        await SampleCalls.CollectAsync(Step(call.Caller).InvokeAsync(call, (c, _) => Used(c, used), default));
        await call.CountAsync(charged: true);
    }

    /// <summary>What is left, asked by a call that uses nothing.</summary>
    private async Task<long> LeftAsync(Caller caller)
    {
        var counters = servers.Counters(LimitServers.Garnet, _time);
        var (request, windows) = (SampleCalls.Id(), LimitWindows.For(caller, "chat", [], _time.GetUtcNow()));
        var result = await counters.ReserveAsync(request, windows, default, default);
        await counters.SettleAsync(request, windows, default, _time.GetUtcNow(), default);
        return result.Granted!.Tightest!.Value.Remaining;
    }

    private static IAsyncEnumerable<ChatEvent> Never(ChatCall call, CancellationToken token) => throw new InvalidOperationException("Called in spite of the refusal.");

    private static IAsyncEnumerable<ChatEvent> Used(ChatCall call, long used) => Used(call, new TokenUsage(used, 0, 0, 0, 0));

    private static async IAsyncEnumerable<ChatEvent> Used(ChatCall call, TokenUsage used)
    {
        await Task.Yield();
        SampleCalls.Attempt(call, call.Route[0], AttemptOutcome.Succeeded, used);
        yield return SampleCalls.Chunk("a");
    }

    private static IAsyncEnumerable<ChatEvent> Empty() => AsyncEnumerable.Empty<ChatEvent>();

    private static async IAsyncEnumerable<ChatEvent> Reply(ChatCall call, string end, CancellationTokenSource leaving, [EnumeratorCancellation] CancellationToken token)
    {
        await Task.Yield();
        var attempt = SampleCalls.Attempt(call, SampleCalls.Target(), AttemptOutcome.Aborted, new TokenUsage(20, 0, 0, 10, 0));
        yield return SampleCalls.Chunk("a");
        switch (end)
        {
            case "throws":
                attempt.Outcome = AttemptOutcome.Failed;
                throw new WireException(502, "server_error", "provider_cut", "Cut.");
            case "cancelled":
                await leaving.CancelAsync();
                token.ThrowIfCancellationRequested();
                break;
        }
    }
}
