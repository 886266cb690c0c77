using System.Runtime.CompilerServices;
using AiAspire.Core.Wire;

namespace AiAspire.Core.Chat;

/// <summary>
/// The outermost step. Whatever way a call ends, its attempts, its charge and its messages are written in one transaction; the
/// enumeration ends only after the commit, so a reply's last byte says that its books are closed.
/// </summary>
public sealed class SettleStep(ICallBooks books) : IChatStep
{
    public async IAsyncEnumerable<ChatEvent> InvokeAsync(ChatCall call, ChatNext next, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var settle = await books.OpenAsync(call, cancellationToken);
        var outcome = "failed";
        try
        {
            await foreach (var reply in next(call, cancellationToken))
            {
                // While the consumer has the event, only its leaving can end the call.
                outcome = "aborted";
                yield return reply;
                outcome = "failed";
            }

            outcome = "succeeded";
        }
        finally
        {
            if (cancellationToken.IsCancellationRequested && outcome != "succeeded")
                outcome = "aborted";
            // A call that nobody answered and no provider saw leaves nothing behind.
            if (call.Attempts.Count == 0 && call.CacheHit is null)
                await call.CountAsync(charged: false);
            else
                await CloseAsync(call, call.EndAs(outcome), settle);
        }
    }

    private static async Task CloseAsync(ChatCall call, CallEnd end, SettleCall settle)
    {
        // What else is to be done may undo the books (a job whose lease was lost, a key that was taken over): then the ledger charges
        // nothing, and the counters must not either. What the reconciler may have closed is counted by the ledger's word. All other calls are
        // counted while their books are closed.
        var counting = end.Also is null && !call.MayBeAbandoned ? call.CountAsync(end.Charged) : null;
        var booked = false;
        try
        {
            await settle(end);
            booked = true;
        }
        finally
        {
            await (counting ?? call.CountAsync(end.Charged && booked, booked));
        }
    }
}
