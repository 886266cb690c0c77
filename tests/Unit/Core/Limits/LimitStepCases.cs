using AiAspire.Core.Limits;
using AiAspire.Core.Models;
using AiAspire.Core.Tenancy;
using AiAspire.Core.Wire;
using Microsoft.Extensions.Time.Testing;

namespace AiAspire.Unit.CoreTests.Limits;

/// <summary>Calls through the step of the limits, over counters on a real server.</summary>
public abstract class LimitStepCases(LimitServers servers)
{
    // Noon today: the counters live by the server's clock, and the tests must not straddle a day.
    protected FakeTimeProvider Time { get; } = new(new DateTimeOffset(TimeProvider.System.GetUtcNow().Date, TimeSpan.Zero).AddHours(12).AddSeconds(20));

    protected static Entitlements Limits(long? userDay = null, long? tenantDay = null, long? tenantMinute = null) => new("t", ["*"], ["*"], userDay, tenantDay, tenantMinute, 1024);

    protected LimitStep Step(Caller caller) => servers.Step(LimitServers.Garnet, Time, caller);

    protected ChatCall Call(Caller caller, string? json = null, long input = 20, string feature = "chat")
    {
        var call = SampleCalls.Call(json, caller, Time, feature, SampleCalls.Target());
        call.EstimatedInput = input;
        return call;
    }

    protected async Task RunAsync(ChatCall call, TokenUsage usage, params Budget[] budgets)
    {
        await SampleCalls.CollectAsync(servers.Step(LimitServers.Garnet, Time, call.Caller, budgets).InvokeAsync(call, (c, _) => Used(c, usage), default));
        await call.CountAsync(charged: true);
    }

    protected async Task RunAsync(Caller caller, long used, long input = 20)
    {
        var call = Call(caller, input: input);
        await SampleCalls.CollectAsync(Step(call.Caller).InvokeAsync(call, (c, _) => Used(c, used), default));
        await call.CountAsync(charged: true);
    }

    /// <summary>What is left, asked by a call that uses nothing.</summary>
    protected async Task<long> LeftAsync(Caller caller)
    {
        var counters = servers.Counters(LimitServers.Garnet, Time);
        var (request, windows) = (SampleCalls.Id(), LimitWindows.For(caller, "chat", [], Time.GetUtcNow()));
        var result = await counters.ReserveAsync(request, windows, default, default);
        await counters.SettleAsync(request, windows, default, Time.GetUtcNow(), default);
        return result.Granted!.Tightest!.Value.Remaining;
    }

    protected static IAsyncEnumerable<ChatEvent> Never(ChatCall call, CancellationToken token) => throw new InvalidOperationException("Called in spite of the refusal.");

    protected static IAsyncEnumerable<ChatEvent> Used(ChatCall call, long used) => Used(call, new TokenUsage(used, 0, 0, 0, 0));

    protected static async IAsyncEnumerable<ChatEvent> Used(ChatCall call, TokenUsage used)
    {
        await Task.Yield();
        SampleCalls.Attempt(call, call.Route[0], AttemptOutcome.Succeeded, used);
        yield return SampleCalls.Chunk("a");
    }
}
