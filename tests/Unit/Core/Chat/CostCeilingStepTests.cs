using AiAspire.Core.Chat;
using AiAspire.Core.Models;
using AiAspire.Core.Wire;

namespace AiAspire.Unit.CoreTests.Chat;

public sealed class CostCeilingStepTests
{
    // 20 input and 256 output tokens, at the dearer of the two targets: 20 × 10 + 256 × 40 per million.
    private const decimal Most = 0.010440m;

    private static readonly PricedTarget[] Route = [SampleCalls.Target("cheap", 1, 4), SampleCalls.Target("dear", 10, 40)];

    [Fact]
    public async Task A_call_that_could_cost_more_is_refused_before_anything_is_spent()
    {
        var refusal = await Assert.ThrowsAsync<WireException>(() => RunAsync(Most - 0.000001m));

        Assert.Equal((400, "cost_ceiling_exceeded", "max_cost_usd"), (refusal.Status, refusal.Code, refusal.Param));
        Assert.Contains("0.01044 USD", refusal.Message, StringComparison.Ordinal);
        Assert.Contains("0.010439 USD", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_call_within_its_ceiling_and_one_without_go_on()
    {
        Assert.Single(await RunAsync(Most));
        Assert.Single(await RunAsync(null));
    }

    private static Task<List<ChatEvent>> RunAsync(decimal? ceiling)
    {
        var template = SampleCalls.Call(route: Route);
        var call = new ChatCall
        {
            RequestId = template.RequestId,
            Caller = template.Caller,
            Request = template.Request,
            ConversationId = template.ConversationId,
            StartedAt = template.StartedAt,
            Route = template.Route,
            EstimatedInput = template.EstimatedInput,
            OutputCap = template.OutputCap,
            CostCeiling = ceiling,
        };
        return SampleCalls.CollectAsync(new CostCeilingStep().InvokeAsync(call, static (_, _) => One(), TestContext.Current.CancellationToken));
    }

    private static async IAsyncEnumerable<ChatEvent> One()
    {
        await Task.Yield();
        yield return SampleCalls.Chunk("Hi");
    }
}
