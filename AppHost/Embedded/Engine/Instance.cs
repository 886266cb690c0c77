using Aspire.Hosting.ApplicationModel;

namespace Aspire.Hosting.Embedded;

/// <summary>
/// One process of a resource: started when its dependencies are there, watched, started again with growing pauses when it crashes.
/// </summary>
internal sealed class Instance(Resource resource, int replica, Recipe recipe, bool runsToCompletion, InstanceHost host) : IDisposable
{
    private const int CrashesBeforeHealthy = 3;
    private const int LongerToComplete = 5;
    private static readonly TimeSpan LongestPause = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan EagerCheck = TimeSpan.FromMilliseconds(50);
    private static readonly TimeSpan CalmCheck = TimeSpan.FromSeconds(5);
    private readonly CancellationTokenSource _end = new();

    // Whether a process is wanted, and the process, change together: who stops it either finds it, or it is never started.
    private readonly Lock _gate = new();
    private ChildProcess? _process;
    private bool _wanted = true;
    private bool _isOver;
    private bool _everHealthy;

    public Resource Resource { get; } = resource;

    public int Replica { get; } = replica;

    public string DisplayName { get; } = resource.Replicas > 1 ? $"{resource.Name}-{replica}" : resource.Name;

    public string State { get; private set; } = KnownResourceStates.NotStarted;

    public bool IsHealthy { get; private set; }

    public string? LastProblem { get; private set; }

    public int? ExitCode { get; private set; }

    public int? Pid => _process?.Pid;

    /// <summary>False when no process will come of itself: it was stopped, is finished or has failed.</summary>
    public bool IsWanted => _wanted && State is not (KnownResourceStates.FailedToStart or KnownResourceStates.Finished);

    public ResourceLog Log { get; } = host.OpenLog(resource, replica, recipe);

    public string Remedy => recipe.Remedy;

    public bool HasFailed => State == KnownResourceStates.FailedToStart;

    /// <summary>From waiting for the dependencies to the end of the application.</summary>
    public async Task RunAsync()
    {
        try
        {
            Become(KnownResourceStates.Waiting);
            await host.DependenciesAsync(Resource, _end.Token);
            Become(KnownResourceStates.Starting);
            await recipe.PrepareAsync(_end.Token);
            await KeepRunningAsync();
        }
        catch (OperationCanceledException) when (_end.IsCancellationRequested)
        {
            Become(KnownResourceStates.Exited);
        }
        catch (Exception e)
        {
            // Whatever it was: somebody may be waiting for this instance, and must not wait for ever.
            Fail(e is DistributedApplicationException or IOException or UnauthorizedAccessException or System.ComponentModel.Win32Exception ? e.Message : e.ToString());
        }
    }

    /// <summary>Stops the process and leaves it stopped.</summary>
    public async Task StopAsync()
    {
        if (NoLongerWanted(isOver: false) is { } process)
            await process.StopAsync(host.Time);
        await host.Pulse.UntilAsync(() => _process is null, CancellationToken.None);
    }

    /// <summary>Starts the process again after <see cref="StopAsync"/>.</summary>
    public void Start()
    {
        lock (_gate)
            _wanted = !_isOver;
        host.Pulse.Beat();
    }

    public void Kill() => Required().Kill();

    public void Freeze(bool frozen) => Required().Freeze(frozen);

    /// <summary>The end: no more starts.</summary>
    public async Task EndAsync()
    {
        var process = NoLongerWanted(isOver: true);
        await _end.CancelAsync();
        if (process is not null)
            await process.StopAsync(host.Time);
    }

    public void Dispose()
    {
        Log.Dispose();
        _end.Dispose();
    }

    private ChildProcess? NoLongerWanted(bool isOver)
    {
        lock (_gate)
        {
            _wanted = false;
            _isOver |= isOver;
            return _process;
        }
    }

    private ChildProcess Required() => _process ?? throw new InvalidOperationException($"'{DisplayName}' has no process: it is {State}.");

    private async Task KeepRunningAsync()
    {
        var crashes = 0;
        while (!_end.IsCancellationRequested)
        {
            if (!_wanted)
            {
                Become(KnownResourceStates.Exited);
                await host.Pulse.UntilAsync(() => _wanted, _end.Token);
                crashes = 0;
            }

            var started = host.Time.GetTimestamp();
            if (await RunOnceAsync() is not { } exitCode)
                continue;
            if (_end.IsCancellationRequested || HasFailed)
                return;
            if (!_wanted)
                continue;

            if (runsToCompletion)
            {
                if (exitCode != 0)
                    Fail($"it ended with exit code {exitCode}");
                else
                    Become(KnownResourceStates.Finished);
                return;
            }

            // A long healthy run forgives earlier crashes.
            crashes = host.Time.GetElapsedTime(started) > TimeSpan.FromMinutes(1) ? 1 : crashes + 1;
            if (!_everHealthy && crashes >= CrashesBeforeHealthy)
            {
                Fail($"it ended {crashes} times (exit code {exitCode}) before it was healthy");
                return;
            }

            var pause = TimeSpan.FromSeconds(Math.Min(Math.Pow(2, crashes - 1) / 2, LongestPause.TotalSeconds));
            Log.Write($"[apphost] ended with exit code {exitCode}; starting again in {pause.TotalSeconds:0.#} s");
            await Task.Delay(pause, host.Time, _end.Token);
        }
    }

    /// <returns>The exit code; null when meanwhile no process was wanted.</returns>
    private async Task<int?> RunOnceAsync()
    {
        var spec = await recipe.SpecAsync(Replica, _end.Token);
        ChildProcess process;
        lock (_gate)
        {
            if (!_wanted)
                return null;
            (_process, ExitCode) = (process = ChildProcess.Start(spec, host.Guard, Log), null);
        }

        using var exited = CancellationTokenSource.CreateLinkedTokenSource(_end.Token);
        Become(KnownResourceStates.Running);
        var watching = WatchHealthAsync(exited.Token);
        var exitCode = await process.WaitForExitAsync(host.Time);
        await exited.CancelAsync();
        await watching;
        (_process, ExitCode, IsHealthy) = (null, exitCode, false);
        process.Dispose();
        Become(HasFailed ? State : KnownResourceStates.Starting);
        return exitCode;
    }

    private async Task WatchHealthAsync(CancellationToken exited)
    {
        var started = host.Time.GetTimestamp();
        var limit = runsToCompletion ? host.StartTimeout * LongerToComplete : host.StartTimeout;
        while (!exited.IsCancellationRequested)
        {
            LastProblem = runsToCompletion ? "it has not ended" : await CheckAsync(exited);
            if (exited.IsCancellationRequested)
                return;

            if (IsHealthy != LastProblem is null)
            {
                IsHealthy = LastProblem is null;
                _everHealthy |= IsHealthy;
                host.Pulse.Beat();
            }

            if (!_everHealthy && host.Time.GetElapsedTime(started) > limit)
            {
                Fail($"it was not {(runsToCompletion ? "done" : "healthy")} within {limit.TotalSeconds:0} s: {LastProblem}");
                _process?.Kill();
                return;
            }

            await Task.Delay(IsHealthy ? CalmCheck : EagerCheck, host.Time, exited).ContinueWith(_ => { }, TaskScheduler.Default);
        }
    }

    private async Task<string?> CheckAsync(CancellationToken exited)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(exited);
        limit.CancelAfter(TimeSpan.FromSeconds(5));
        try
        {
            return await recipe.CheckAsync(Replica, limit.Token);
        }
        catch (OperationCanceledException)
        {
            return "the health check did not answer within 5 s";
        }
        catch (Exception e)
        {
            // The recipes tell the failures they know; one they do not know is no reason to stop watching.
            return e.ToString();
        }
    }

    private void Become(string state)
    {
        State = state;
        host.Pulse.Beat();
    }

    private void Fail(string problem)
    {
        LastProblem = problem;
        IsHealthy = false;
        Become(KnownResourceStates.FailedToStart);
    }
}

/// <summary>What an instance needs from the application around it.</summary>
internal sealed record InstanceHost(
    Pulse Pulse, ProcessGuard Guard, TimeProvider Time, TimeSpan StartTimeout,
    Func<Resource, int, Recipe, ResourceLog> OpenLog, Func<Resource, CancellationToken, Task> DependenciesAsync);
