using System.Reflection;
using Aspire.Hosting.Embedded;

namespace Aspire.Hosting.Testing;

/// <summary>
/// Runs an AppHost's own <c>Main</c> for a test: on a thread of its own, up to <c>RunAsync</c>, where it hands the application over
/// and waits until the test has done with it.
/// </summary>
internal sealed class EntryPointRun(EmbeddedOptions options)
{
    private static readonly AsyncLocal<EntryPointRun?> Ambient = new();
    private readonly TaskCompletionSource<DistributedApplication> _application = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>The run this code is part of; null outside tests.</summary>
    public static EntryPointRun? Current => Ambient.Value;

    public EmbeddedOptions Options { get; } = options;

    public Task<DistributedApplication> StartAsync(Assembly appHost, string[] args)
    {
        var main = appHost.EntryPoint ?? throw new ArgumentException($"{appHost.GetName().Name} has no entry point.", nameof(appHost));
        _ = Task.Factory.StartNew(
            () =>
            {
                Ambient.Value = this;
                try
                {
                    main.Invoke(null, main.GetParameters().Length == 0 ? null : [args]);
                    _application.TrySetException(new DistributedApplicationException("The AppHost ended before it ran an application."));
                }
                catch (TargetInvocationException e)
                {
                    _application.TrySetException(e.InnerException ?? e);
                }
            }, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        return _application.Task;
    }

    public Task HandOverAsync(DistributedApplication application)
    {
        _application.TrySetResult(application);
        return _ended.Task;
    }

    public void Ended() => _ended.TrySetResult();
}
