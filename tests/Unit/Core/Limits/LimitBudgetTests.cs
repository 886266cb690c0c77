using AiAspire.Core.Limits;
using AiAspire.Core.Models;
using AiAspire.Core.Tenancy;
using AiAspire.Core.Wire;

namespace AiAspire.Unit.CoreTests.Limits;

/// <summary>Limits in money, and calls that cost none.</summary>
[Collection(LimitServersCollection.Name)]
public sealed class LimitBudgetTests(LimitServers servers) : LimitStepCases(servers)
{
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
        var call = SampleCalls.Call(null, caller, Time, SampleCalls.Target("cheap", 1, 1), SampleCalls.Target("dear", 2, 20));
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
        var call = SampleCalls.Call(null, caller, Time, target);
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

    [Fact]
    public async Task A_budget_for_a_tier_holds_only_its_users()
    {
        var caller = SampleCalls.Caller();
        await RunAsync(Call(caller), default, Budget(caller.TenantId, BudgetScope.User, "free", 0m));

        await Assert.ThrowsAsync<WireException>(() => RunAsync(Call(caller), default, Budget(caller.TenantId, BudgetScope.User, "PRO", 0m)));
    }

    private ChatCall Check(Caller caller, decimal price)
        => SampleCalls.CallOf(SampleCalls.Moderation("""{"model":"one-model","input":"is this harmless?"}"""), caller, Time, "moderations", SampleCalls.Target("one", price, 0));

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
        ChangedAt = Time.GetUtcNow(),
    };
}
