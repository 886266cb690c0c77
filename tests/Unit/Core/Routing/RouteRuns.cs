using AiAspire.Core.Routing;
using AiAspire.Core.Wire;

namespace AiAspire.Unit.CoreTests.Routing;

/// <summary>Calls through the last step of the pipeline.</summary>
internal static class RouteRuns
{
    public static IAsyncEnumerable<ChatEvent> EventsAsync(this RouteStep step, ChatCall call, CancellationToken cancellationToken)
        => step.InvokeAsync(call, static (_, _) => throw new InvalidOperationException("Routing is the last step."), cancellationToken);

    public static Task<List<ChatEvent>> RunAsync(this RouteStep step, ChatCall call)
        => SampleCalls.CollectAsync(step.EventsAsync(call, TestContext.Current.CancellationToken));
}
