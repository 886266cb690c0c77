using Aspire.Hosting.ApplicationModel;
using Aspire.Hosting.Embedded;

namespace Aspire.Hosting.Testing;

/// <summary>How a test hurts an application. These words are this engine's own.</summary>
public static class FaultExtensions
{
    /// <summary>Stops one process in an orderly way and leaves it stopped.</summary>
    public static Task StopResourceAsync(this DistributedApplication app, string resourceName, int replica = 0) =>
        app.Instance(resourceName, replica).StopAsync();

    /// <summary>Starts a stopped process; returns when it is healthy.</summary>
    /// <exception cref="TimeoutException">The token was cancelled before.</exception>
    public static Task StartResourceAsync(
        this DistributedApplication app, string resourceName, int replica = 0, CancellationToken cancellationToken = default)
    {
        var instance = app.Instance(resourceName, replica);
        instance.Start();
        return ResourceNotificationService.UntilAsync(app.Orchestrator, resourceName, "healthy again", () => instance.IsHealthy, cancellationToken);
    }

    /// <summary>Stops one process in an orderly way and starts it again; returns when it is healthy.</summary>
    public static async Task RestartResourceAsync(
        this DistributedApplication app, string resourceName, int replica = 0, CancellationToken cancellationToken = default)
    {
        await app.StopResourceAsync(resourceName, replica);
        await app.StartResourceAsync(resourceName, replica, cancellationToken);
    }

    /// <summary>
    /// SIGKILL; returns when the process is gone. It is started again after a pause, as in any run (0.5 s, doubling). One that is in such a pause
    /// is waited for.
    /// </summary>
    public static async Task KillResourceAsync(
        this DistributedApplication app, string resourceName, int replica = 0, CancellationToken cancellationToken = default)
    {
        var instance = app.Instance(resourceName, replica);
        await app.Orchestrator.Pulse.UntilAsync(() => instance.Pid is not null || !instance.IsWanted, cancellationToken);
        var pid = instance.Pid;
        instance.Kill();
        await app.Orchestrator.Pulse.UntilAsync(() => instance.Pid != pid, cancellationToken);
    }

    /// <summary>SIGSTOP: the process is there but does nothing, as on a machine that hangs.</summary>
    public static Task PauseResourceAsync(this DistributedApplication app, string resourceName, int replica = 0)
    {
        app.Instance(resourceName, replica).Freeze(frozen: true);
        return Task.CompletedTask;
    }

    /// <summary>SIGCONT.</summary>
    public static Task ResumeResourceAsync(this DistributedApplication app, string resourceName, int replica = 0)
    {
        app.Instance(resourceName, replica).Freeze(frozen: false);
        return Task.CompletedTask;
    }

    /// <summary>The lines all replicas of a resource wrote (each replica's last 2,000), as they were written.</summary>
    public static IReadOnlyList<string> GetResourceLogs(this DistributedApplication app, string resourceName) =>
        [.. app.Orchestrator.Of(resourceName).SelectMany(i => i.Log.All())];

    /// <summary>Where one of several replicas listens.</summary>
    public static Uri GetReplicaEndpoint(this DistributedApplication app, string resourceName, int replica) =>
        new(app.Instance(resourceName, replica).Resource.Endpoints[0].Url(replica));

    /// <summary>The process id; null while there is no process.</summary>
    public static int? GetResourceProcessId(this DistributedApplication app, string resourceName, int replica = 0) =>
        app.Instance(resourceName, replica).Pid;

    private static Instance Instance(this DistributedApplication app, string name, int replica) =>
        app.Orchestrator.Of(name).FirstOrDefault(i => i.Replica == replica)
        ?? throw new ArgumentException($"There is no process {replica} of a resource '{name}'.", nameof(name));
}
