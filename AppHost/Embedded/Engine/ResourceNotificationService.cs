using Aspire.Hosting.Embedded;

namespace Aspire.Hosting.ApplicationModel;

/// <summary>Waits for resources to get somewhere.</summary>
public sealed class ResourceNotificationService
{
    private readonly Func<Orchestrator> _orchestrator;

    internal ResourceNotificationService(Func<Orchestrator> orchestrator) => _orchestrator = orchestrator;

    /// <summary>Waits until all replicas of a resource are healthy (a database: its server).</summary>
    /// <exception cref="TimeoutException">The token was cancelled before; the message holds the resource's last log lines.</exception>
    /// <exception cref="DistributedApplicationException">The resource, or one it waits for, failed and will not come up.</exception>
    public Task WaitForResourceHealthyAsync(string resourceName, CancellationToken cancellationToken = default) =>
        WaitAsync(resourceName, "healthy", orchestrator => orchestrator.IsReadyNamed(resourceName), cancellationToken);

    /// <summary>Waits until all replicas of a resource are in a state of <see cref="KnownResourceStates"/>.</summary>
    /// <exception cref="TimeoutException">The token was cancelled before; the message holds the resource's last log lines.</exception>
    /// <exception cref="DistributedApplicationException">The resource, or one it waits for, failed and will not come up.</exception>
    public Task WaitForResourceAsync(string resourceName, string? targetState = null, CancellationToken cancellationToken = default) =>
        WaitAsync(resourceName, targetState ?? KnownResourceStates.Running,
            orchestrator => orchestrator.Of(resourceName).All(i => i.State == (targetState ?? KnownResourceStates.Running)), cancellationToken);

    private Task WaitAsync(string name, string goal, Func<Orchestrator, bool> reached, CancellationToken cancellationToken)
    {
        var orchestrator = _orchestrator();
        return UntilAsync(orchestrator, name, goal, () => reached(orchestrator), cancellationToken);
    }

    internal static async Task UntilAsync(Orchestrator orchestrator, string name, string goal, Func<bool> reached, CancellationToken cancellationToken)
    {
        try
        {
            await orchestrator.Pulse.UntilAsync(() => reached() || orchestrator.Of(name).Any(i => i.HasFailed), cancellationToken);
        }
        catch (OperationCanceledException e)
        {
            throw new TimeoutException($"Waited for '{name}' to be {goal}. {Describe(orchestrator, name)}", e);
        }

        if (!reached())
            throw new DistributedApplicationException($"'{name}' will not be {goal}. {Describe(orchestrator, name)}");
    }

    /// <summary>The state of a resource, and the last lines of it and of whatever failed first.</summary>
    private static string Describe(Orchestrator orchestrator, string name)
    {
        var instances = orchestrator.Of(name).Concat(orchestrator.Instances.Where(i => i.HasFailed && i.Log.Last(1).Count > 0)).Distinct();
        return string.Join("\n", instances.Select(i =>
            $"{i.DisplayName} is {i.State}{(i.LastProblem is { } problem ? $" ({problem})" : "")}; its last lines:\n{string.Join("\n", i.Log.Last(30).Select(line => "  " + line))}"));
    }
}
