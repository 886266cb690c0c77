using Aspire.Hosting.ApplicationModel;
using Aspire.Hosting.Embedded;
using Aspire.Hosting.Testing;

namespace Aspire.Hosting;

/// <summary>The application, built and ready to run as processes of this machine.</summary>
public sealed class DistributedApplication : IAsyncDisposable
{
    private readonly EmbeddedApplicationBuilder _builder;
    private readonly ConsoleBoard _board;
    private readonly Lazy<Orchestrator> _orchestrator;
    private readonly EntryPointRun? _test;
    private bool _disposed;

    internal DistributedApplication(EmbeddedApplicationBuilder builder)
    {
        _builder = builder;
        _board = new ConsoleBoard(Console.Out, silent: builder.Options.Testing);
        _orchestrator = new Lazy<Orchestrator>(() => new Orchestrator(builder, _board));
        ResourceNotifications = new ResourceNotificationService(() => Orchestrator);
        _test = EntryPointRun.Current;
    }

    /// <summary>What the resources are doing.</summary>
    public ResourceNotificationService ResourceNotifications { get; }

    internal Orchestrator Orchestrator => _orchestrator.Value;

    /// <summary>Where the run keeps its data and development secrets.</summary>
    internal string DataFolder => _builder.Data.Path;

    internal IReadOnlyList<IResource> Resources => _builder.Resources;

    /// <summary>Begins to build an application from the command line's arguments.</summary>
    /// <exception cref="DistributedApplicationException">An argument is wrong, or another AppHost has the data folder.</exception>
    public static IDistributedApplicationBuilder CreateBuilder(string[] args)
    {
        if (EntryPointRun.Current is { } test)
            return new EmbeddedApplicationBuilder(args, test.Options);

        AppDomain.CurrentDomain.UnhandledException += SayWhatIsWrong;
        return new EmbeddedApplicationBuilder(args, new EmbeddedOptions());
    }

    /// <summary>Starts everything and returns; use <see cref="ResourceNotifications"/> to wait for health.</summary>
    public Task StartAsync(CancellationToken cancellationToken = default)
    {
        cancellationToken.ThrowIfCancellationRequested();
        Orchestrator.Start();
        return Task.CompletedTask;
    }

    /// <summary>Stops everything in reverse order.</summary>
    public async Task StopAsync(CancellationToken cancellationToken = default)
    {
        File.Delete(_builder.Data.RunFile);
        if (_orchestrator.IsValueCreated)
            await Orchestrator.StopAsync().WaitAsync(cancellationToken);
    }

    /// <summary>
    /// Runs until Ctrl-C, SIGTERM or a failure that keeps the system from coming up; the latter sets the process' exit code to 1.
    /// Under the testing builder it hands the application over and returns when the test disposes of it.
    /// </summary>
    public async Task RunAsync(CancellationToken cancellationToken = default)
    {
        if (_test is not null)
        {
            await _test.HandOverAsync(this);
            return;
        }

        await using (this)
        {
            using var signals = new ShutdownSignals();
            using var parent = new ParentWatch(_builder.Options.Time, signals.Request);
            await using var registration = cancellationToken.Register(signals.Request);
            if (!await RunUntilAsync(signals.Requested))
                Environment.ExitCode = 1;
        }
    }

    /// <inheritdoc />
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, true))
            return;

        File.Delete(_builder.Data.RunFile);
        if (_orchestrator.IsValueCreated)
            await Orchestrator.DisposeAsync();
        _builder.Data.Dispose();
        if (_builder.Options.DataFolder is { } temporary)
            Directory.Delete(temporary, recursive: true);
        _test?.Ended();
    }

    private async Task<bool> RunUntilAsync(Task stop)
    {
        var started = _builder.Options.Time.GetTimestamp();
        _board.Say($"Starting. Data folder: {_builder.Data.Path}");
        await StartAsync();
        var settled = Orchestrator.Pulse.UntilAsync(() => Orchestrator.IsComplete || Orchestrator.FirstFailure is not null, CancellationToken.None);
        await Task.WhenAny(settled, stop);
        if (Orchestrator.FirstFailure is { } failure)
        {
            _board.Failure(failure);
            await StopAsync(CancellationToken.None);
            return false;
        }

        if (!stop.IsCompleted)
        {
            var key = _builder.Configuration["DevelopmentKey"] ?? "";
            var api = RunFile.AddressOf("api", Orchestrator.Instances) ?? "";
            _board.Welcome(Orchestrator.Instances, api, key, _builder.Data.Path, _builder.Options.Time.GetElapsedTime(started));
            await KeepRunFileAsync(key, stop);
        }

        _board.Say("Stopping.");
        await StopAsync(CancellationToken.None);
        return true;
    }

    /// <summary>Writes the run file, and again whenever a process was replaced.</summary>
    private async Task KeepRunFileAsync(string developmentKey, Task stop)
    {
        while (!stop.IsCompleted)
        {
            var pids = Pids();
            RunFile.Write(_builder, Orchestrator.Instances, developmentKey);
            await Task.WhenAny(Orchestrator.Pulse.UntilAsync(() => stop.IsCompleted || !pids.SequenceEqual(Pids()), CancellationToken.None), stop);
        }

        List<int?> Pids() => [.. Orchestrator.Instances.Select(i => i.Pid)];
    }

    /// <summary>What the user can put right (a taken port, a data folder in use…) is told in one sentence, not as a stack trace.</summary>
    private static void SayWhatIsWrong(object sender, UnhandledExceptionEventArgs e)
    {
        if (e.ExceptionObject is not DistributedApplicationException problem)
            return;

        Console.Error.WriteLine(problem.Message);
        Environment.Exit(1);
    }
}
