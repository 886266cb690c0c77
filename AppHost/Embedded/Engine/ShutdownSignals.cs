using System.Runtime.InteropServices;

namespace Aspire.Hosting.Embedded;

/// <summary>Ctrl-C, SIGTERM and a closed terminal, as a task. The first asks for an orderly stop; a second Ctrl-C is not held back.</summary>
internal sealed class ShutdownSignals : IDisposable
{
    private readonly TaskCompletionSource _requested = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly PosixSignalRegistration[] _registrations;

    public ShutdownSignals() => _registrations =
    [
        .. new[] { PosixSignal.SIGINT, PosixSignal.SIGTERM, PosixSignal.SIGHUP }.Select(signal => PosixSignalRegistration.Create(signal, context =>
            // The signal's own effect, ending the process, is held back once.
            context.Cancel = _requested.TrySetResult())),
    ];

    public Task Requested => _requested.Task;

    /// <summary>Asks for the stop from within.</summary>
    public void Request() => _requested.TrySetResult();

    public void Dispose()
    {
        foreach (var registration in _registrations)
            registration.Dispose();
    }
}
