using System.Diagnostics;
using System.Runtime.CompilerServices;
using AiAspire.Core.Wire;

namespace AiAspire.Core.Chat;

/// <summary>A span per step of the pipeline, around all that lies beneath it; nothing at all when nobody collects spans.</summary>
internal static class StepTracing
{
    private static readonly ActivitySource Source = new("AiAspire.Chat");

    public static ChatNext Trace(string name, IChatStep step, ChatNext next)
        => (call, cancellationToken) => Source.HasListeners() ? InvokeAsync(name, step, next, call, cancellationToken) : step.InvokeAsync(call, next, cancellationToken);

    private static async IAsyncEnumerable<ChatEvent> InvokeAsync(
        string name, IChatStep step, ChatNext next, ChatCall call, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var outer = Activity.Current;
        using var activity = Source.StartActivity($"chat.{name}");
        var events = step.InvokeAsync(call, next, cancellationToken).GetAsyncEnumerator(cancellationToken);
        try
        {
            while (true)
            {
                // The flow of control is the consumer's each time: what it brings along is not this span.
                Activity.Current = activity ?? outer;
                try
                {
                    if (!await events.MoveNextAsync())
                        break;
                }
                catch (Exception e)
                {
                    activity?.SetStatus(ActivityStatusCode.Error, (e as WireException)?.Code ?? e.GetType().Name);
                    throw;
                }

                yield return events.Current;
            }
        }
        finally
        {
            Activity.Current = activity ?? outer;
            await events.DisposeAsync();
        }
    }
}
