using System.Runtime.CompilerServices;
using AiAspire.Core.Chat;
using AiAspire.Core.Ledger;
using AiAspire.Core.Limits;
using AiAspire.Core.Models;
using AiAspire.Core.Tenancy;
using AiAspire.Core.Wire;
using AiAspire.Unit.Architecture;
using AiAspire.Unit.CoreTests.Chat;

namespace AiAspire.Unit.CoreTests.Limits;

/// <summary>Limits in tokens, and how a reservation ends.</summary>
[Collection(LimitServersCollection.Name)]
public sealed class LimitStepTests(LimitServers servers) : LimitStepCases(servers)
{
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
        var step = LimitServers.Step(gone, Time, call.Caller, new LimitsOptions());

        var refusal = await Assert.ThrowsAsync<WireException>(() => SampleCalls.CollectAsync(step.InvokeAsync(call, Never, default)));

        Assert.Equal((503, "limits_unavailable"), (refusal.Status, refusal.Code));
        Assert.NotNull(refusal.RetryAfter);
    }

    [Fact]
    public async Task With_a_local_share_each_process_goes_on_within_it()
    {
        await using var gone = await GoneAsync();
        var caller = SampleCalls.Caller(Limits(userDay: 10_000));
        var step = LimitServers.Step(gone, Time, caller, new LimitsOptions { WithoutCounters = WithoutCounters.LocalShare, LocalSharePercent = 10 });

        for (var i = 0; i < 4; i++)
        {
            var call = Call(caller);
            await SampleCalls.CollectAsync(step.InvokeAsync(call, (c, _) => Used(c, 240), default));
            await call.CountAsync(charged: true);
        }

        var refusal = await Assert.ThrowsAsync<WireException>(() => SampleCalls.CollectAsync(step.InvokeAsync(Call(caller, input: 30), Never, default)));
        Assert.Equal((429, "rate_limit_exceeded"), (refusal.Status, refusal.Code));
    }

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

        Assert.Equal(0m, new SettledCall(stopped, "aborted", Time.GetUtcNow(), TimeSpan.Zero, stopped.EndAs("aborted").Charged).ChargedCost);
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

    private static Task<StackExchange.Redis.ConnectionMultiplexer> GoneAsync()
        => StackExchange.Redis.ConnectionMultiplexer.ConnectAsync("127.0.0.1:1,abortConnect=false,connectTimeout=200,asyncTimeout=500,connectRetry=0");

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
