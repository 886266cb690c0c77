using System.Diagnostics;

namespace Aspire.Hosting.Embedded;

/// <summary>What to start and how to stop it.</summary>
internal sealed record ProcessSpec(IReadOnlyList<string> Command, string WorkingDirectory)
{
    /// <summary>Added to our own environment; null takes a variable away.</summary>
    public IReadOnlyDictionary<string, string?> Environment { get; init; } = new Dictionary<string, string?>();

    /// <summary>The signal that asks for an orderly stop.</summary>
    public int StopSignal { get; init; } = Unix.SigTerm;

    /// <summary>How long an orderly stop may take before SIGKILL.</summary>
    public TimeSpan Grace { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Whether the process has children of its own that must not be orphaned (PostgreSQL).</summary>
    public bool HasChildren { get; init; }
}

/// <summary>A running child whose output goes to a <see cref="ResourceLog"/>.</summary>
internal sealed class ChildProcess : IDisposable
{
    private readonly Process _process;
    private readonly ProcessGuard _guard;
    private readonly ProcessSpec _spec;
    private readonly Task _reading;

    // Kept, because whoever stops a process that has just died by itself finds the other already disposed.
    private readonly Task _exited;

    private ChildProcess(Process process, ProcessSpec spec, ProcessGuard guard, ResourceLog log)
    {
        (_process, _spec, _guard) = (process, spec, guard);
        Pid = process.Id;
        _exited = process.WaitForExitAsync(CancellationToken.None);
        guard.Add(Pid, gentle: spec.HasChildren);
        _reading = Task.WhenAll(ReadAsync(process.StandardOutput, log), ReadAsync(process.StandardError, log));
    }

    public int Pid { get; }

    public static ChildProcess Start(ProcessSpec spec, ProcessGuard guard, ResourceLog log)
    {
        var start = ProcessStart.InOwnSession(spec.Command);
        start.WorkingDirectory = spec.WorkingDirectory;
        start.RedirectStandardOutput = start.RedirectStandardError = start.RedirectStandardInput = true;
        foreach (var (name, value) in spec.Environment)
            start.Environment[name] = value;

        var process = Process.Start(start) ?? throw new DistributedApplicationException($"{spec.Command[0]} did not start.");
        process.StandardInput.Close();
        return new ChildProcess(process, spec, guard, log);
    }

    /// <summary>Waits for the end and returns the exit code (128 + signal when killed).</summary>
    public async Task<int> WaitForExitAsync(TimeProvider time)
    {
        await _exited;
        _guard.Remove(Pid);

        // The last lines, but not for ever: an orphaned grandchild may hold the pipe open.
        await Task.WhenAny(_reading, Task.Delay(TimeSpan.FromSeconds(1), time));
        return _process.ExitCode;
    }

    /// <summary>Asks, waits, and then no longer asks.</summary>
    public async Task StopAsync(TimeProvider time)
    {
        Signal(_spec.StopSignal);
        try
        {
            await _exited.WaitAsync(_spec.Grace, time);
        }
        catch (TimeoutException)
        {
            Kill();
            await _exited;
        }
    }

    /// <summary>SIGKILL, children included.</summary>
    public void Kill()
    {
        foreach (var pid in Tree())
            SignalOne(pid, Unix.SigKill);
    }

    /// <summary>Stops or continues the process and its children in their tracks.</summary>
    public void Freeze(bool frozen)
    {
        foreach (var pid in Tree())
            SignalOne(pid, frozen ? Unix.SigStop : Unix.SigCont);
    }

    public void Dispose() => _process.Dispose();

    /// <summary>Empty once it has ended: its number may be another's by now.</summary>
    private int[] Tree() => _exited.IsCompleted ? [] : _spec.HasChildren ? [Pid, .. Unix.Descendants(Pid)] : [Pid];

    private void Signal(int signal)
    {
        if (_exited.IsCompleted)
            return;
        // A frozen process would not see it.
        SignalOne(Pid, signal);
        if (!OperatingSystem.IsWindows())
            Freeze(frozen: false);
    }

    private void SignalOne(int pid, int signal)
    {
        if (!OperatingSystem.IsWindows())
            Unix.Signal(pid, signal);
        else if (signal is Unix.SigKill or Unix.SigTerm or Unix.SigInt && !_process.HasExited)
            _process.Kill(entireProcessTree: true);
    }

    private static async Task ReadAsync(StreamReader reader, ResourceLog log)
    {
        while (true)
        {
            var reading = reader.ReadLineAsync();
            if (!reading.IsCompleted)
                log.Flush();
            if (await reading is not { } line)
                return;
            log.Write(line);
        }
    }
}
