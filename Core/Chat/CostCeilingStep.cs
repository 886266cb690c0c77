using System.Globalization;
using System.Runtime.CompilerServices;
using AiAspire.Core.Wire;

namespace AiAspire.Core.Chat;

/// <summary>
/// Refuses a call that could cost more than its ceiling, before anything is spent: the estimated input and the output cap, at the price of the
/// dearest target that may serve.
/// </summary>
public sealed class CostCeilingStep : IChatStep
{
    public async IAsyncEnumerable<ChatEvent> InvokeAsync(ChatCall call, ChatNext next, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        if (call.CostCeiling is { } ceiling)
            ThrowIfAbove(call, ceiling);
        await foreach (var reply in next(call, cancellationToken))
            yield return reply;
    }

    private static void ThrowIfAbove(ChatCall call, decimal ceiling)
    {
        var most = call.Route.Max(t => t.Price.MostCost(call.EstimatedInput, (long)call.OutputCap * call.Request.Choices));
        if (most > ceiling)
        {
            throw WireException.BadRequest(
                string.Create(
                    CultureInfo.InvariantCulture,
                    $"This may cost up to {most:0.######} USD (about {call.EstimatedInput} input tokens and {(long)call.OutputCap * call.Request.Choices} of output), and the ceiling is {ceiling:0.######} USD. Lower max_tokens or n, or raise max_cost_usd."),
                "max_cost_usd",
                "cost_ceiling_exceeded");
        }
    }
}
