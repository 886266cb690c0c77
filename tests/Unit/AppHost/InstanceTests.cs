using Aspire.Hosting.ApplicationModel;
using Aspire.Hosting.Embedded;

namespace AiAspire.Unit.AppHosting;

/// <summary>Whoever stops an instance at the wrong moment must neither wait for ever nor leave a process behind.</summary>
public sealed class InstanceTests : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("aiaspire-instance-");
    private readonly SleepRecipe _recipe = new();
    private readonly Pulse _pulse = new();
    private readonly ProcessGuard _guard;
    private readonly Instance _instance;

    public InstanceTests()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "runs sleep");
        _guard = new ProcessGuard(Path.Combine(_folder.FullName, "run"));
        var host = new InstanceHost(
            _pulse, _guard, TimeProvider.System, Patience, (_, _, _) => new ResourceLog(Path.Combine(_folder.FullName, "log"), show: null), (_, _) => Task.CompletedTask);
        _instance = new Instance(new ProjectResource("sleeper", "nowhere"), 0, _recipe, runsToCompletion: false, host);
    }

    [Fact]
    public async Task One_that_is_stopped_while_its_start_is_prepared_is_not_started_until_somebody_asks()
    {
        var running = _instance.RunAsync();
        await _recipe.Preparing.Task.WaitAsync(Patience);
        await _instance.StopAsync().WaitAsync(Patience);
        _recipe.Prepared.SetResult();
        await _pulse.UntilAsync(() => _instance.State == KnownResourceStates.Exited, default).WaitAsync(Patience);
        Assert.Null(_instance.Pid);

        _instance.Start();
        await _pulse.UntilAsync(() => _instance.Pid is not null, default).WaitAsync(Patience);
        await _instance.EndAsync().WaitAsync(Patience);
        await running.WaitAsync(Patience);
    }

    [Fact]
    public async Task The_end_may_come_while_its_start_is_prepared()
    {
        var running = _instance.RunAsync();
        await _recipe.Preparing.Task.WaitAsync(Patience);
        await _instance.EndAsync().WaitAsync(Patience);
        // Too late: it is over.
        _instance.Start();
        _recipe.Prepared.SetResult();

        await running.WaitAsync(Patience);
        Assert.Null(_instance.Pid);
    }

    [Fact]
    public async Task A_health_check_that_fails_in_an_unknown_way_leaves_nobody_waiting()
    {
        _recipe.Prepared.SetResult();
        var running = _instance.RunAsync();
        // The problem itself is no beat.
        using var limit = new CancellationTokenSource(Patience);
        while (_instance.LastProblem is null)
            await Task.Delay(10, limit.Token);
        Assert.Contains("unknown to the recipe", _instance.LastProblem, StringComparison.Ordinal);

        await _instance.StopAsync().WaitAsync(Patience);
        await _instance.EndAsync().WaitAsync(Patience);
        await running.WaitAsync(Patience);
    }

    public void Dispose()
    {
        _instance?.Dispose();
        _guard?.Dispose();
        _folder.Delete(recursive: true);
    }

    /// <summary>A process that does nothing, and a start that waits for the test.</summary>
    private sealed class SleepRecipe : Recipe
    {
        public TaskCompletionSource Preparing { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public TaskCompletionSource Prepared { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public override string Remedy => "";

        public override async Task<ProcessSpec> SpecAsync(int replica, CancellationToken cancellationToken)
        {
            Preparing.TrySetResult();
            // Whatever the token says: what is prepared may be a system call that nothing interrupts.
            await Prepared.Task;
            return new ProcessSpec(["/bin/sleep", "600"], "/");
        }

        public override Task<string?> CheckAsync(int replica, CancellationToken cancellationToken) => throw new NotSupportedException("unknown to the recipe");
    }
}
