using AiAspire.Core.Data;
using AiAspire.Core.Rollouts;
using AiAspire.Core.Wire;

namespace AiAspire.Unit.CoreTests.Rollouts;

public sealed class KillSwitchesTests : IDisposable
{
    private readonly KillSwitches _switches = new(null!, SampleCalls.Time());
    private readonly ChatCall _call = SampleCalls.Call(null, null, null, "summaries", SampleCalls.Target("one"), SampleCalls.Target("two"));

    public void Dispose() => _switches.Dispose();

    public static TheoryData<SwitchKind, string?, string> Stopping => new()
    {
        { SwitchKind.Service, null, "service_disabled" },
        { SwitchKind.Feature, "Summaries", "feature_disabled" },
        { SwitchKind.Model, "one-model", "model_disabled" },
    };

    [Theory]
    [MemberData(nameof(Stopping))]
    [Trait("Checklist", "ARCH-02")]
    public void What_is_switched_off_is_refused_with_its_reason(SwitchKind kind, string? name, string code)
    {
        Engage(kind, name);

        var refusal = Assert.Throws<WireException>(() => _switches.Apply(_call));

        Assert.Equal((503, code, false), (refusal.Status, refusal.Code, refusal.ShouldRetry));
        Assert.Equal(TimeSpan.FromMinutes(3), refusal.RetryAfter);
        Assert.Contains("until about 2026-03-14 15:12:26Z: a drill.", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    [Trait("Checklist", "ARCH-02")]
    public void A_tenant_is_stopped_by_its_id_and_no_other()
    {
        Engage(SwitchKind.Tenant, _call.Caller.TenantId.ToString());

        Assert.Equal("tenant_disabled", Assert.Throws<WireException>(() => _switches.Apply(_call)).Code);
        _switches.Apply(SampleCalls.Call(null, null, null, SampleCalls.Target()));
    }

    [Theory]
    [InlineData(SwitchKind.Provider, "one")]
    [InlineData(SwitchKind.Model, "two-model")]
    [Trait("Checklist", "ARCH-02")]
    public void A_target_that_is_off_leaves_the_others(SwitchKind kind, string name)
    {
        Engage(kind, name);

        _switches.Apply(_call);

        Assert.Equal(name.StartsWith("one", StringComparison.Ordinal) ? "two" : "one", Assert.Single(_call.Route).Target.Provider);
    }

    [Fact]
    public void When_no_target_is_left_the_call_is_refused()
    {
        Engage(SwitchKind.Provider, "one", "two");

        Assert.Equal("provider_disabled", Assert.Throws<WireException>(() => _switches.Apply(_call)).Code);
    }

    [Fact]
    public void Another_feature_goes_on()
    {
        Engage(SwitchKind.Feature, "other");

        _switches.Apply(_call);

        Assert.Equal(2, _call.Route.Count);
    }

    private void Engage(SwitchKind kind, params string?[] names) => _switches.Hold(names.Select(name => new KillSwitch
    {
        TenantId = TenantScope.PlatformTenantId,
        Scope = KillSwitch.ScopeOf(kind, name),
        Engaged = true,
        Reason = "a drill",
        Until = SampleCalls.Now.AddMinutes(3),
        ChangedBy = "op",
        ChangedAt = SampleCalls.Now,
    }));
}
