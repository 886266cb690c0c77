using System.Globalization;
using Aspire.Hosting.ApplicationModel;

namespace Aspire.Hosting.Embedded;

/// <summary>Runs the model: everything at once, each as soon as what it waits for is there.</summary>
internal sealed class Orchestrator : IAsyncDisposable
{
    private readonly EmbeddedApplicationBuilder _application;
    private readonly ProcessGuard _guard;
    private readonly HttpMessageInvoker _http = new(new SocketsHttpHandler { UseProxy = false });
    private readonly IReadOnlyList<IReadOnlyList<Resource>> _steps;
    private readonly List<Task> _running = [];

    public Orchestrator(EmbeddedApplicationBuilder application, ConsoleBoard board)
    {
        _application = application;
        _steps = DependencyOrder.Steps(application.Resources);
        PortPlan.Allocate(application.Resources, application.Configuration);
        _guard = new ProcessGuard(application.Data.RunFile);

        var timeout = double.Parse(application.Configuration["Startup:TimeoutSeconds"] ?? "60", CultureInfo.InvariantCulture);
        var host = new InstanceHost(
            Pulse, _guard, application.Options.Time, TimeSpan.FromSeconds(timeout),
            (resource, replica, recipe) => OpenLog(board, resource, replica, recipe), WaitForDependenciesAsync);
        var completing = application.Resources.Cast<Resource>().SelectMany(r => r.Waits).Where(w => w.IsForCompletion).Select(w => w.Dependency).ToHashSet();
        Instances =
        [
            .. from resource in application.Resources.Cast<Resource>()
               let recipe = RecipeFor(resource, board)
               where recipe is not null
               from replica in Enumerable.Range(0, resource.Replicas)
               select new Instance(resource, replica, recipe, completing.Contains(resource), host),
        ];
    }

    public Pulse Pulse { get; } = new();

    public IReadOnlyList<Instance> Instances { get; }

    public IEnumerable<Instance> Of(string name) => Instances.Where(i => string.Equals(i.Resource.Name, name, StringComparison.OrdinalIgnoreCase));

    public Instance? FirstFailure => Instances.FirstOrDefault(i => i.HasFailed);

    public void Start() => _running.AddRange(Instances.Select(i => Task.Run(i.RunAsync)));

    /// <summary>Whether others may start that wait for this one.</summary>
    public bool IsReady(IResource resource) => resource switch
    {
        PostgresDatabaseResource database => IsReady(database.Parent),
        _ => Of(resource.Name).All(i => i.IsHealthy),
    };

    /// <exception cref="ArgumentException">There is no resource of that name.</exception>
    public bool IsReadyNamed(string name) => IsReady(_application.Resources.FirstOrDefault(r => string.Equals(r.Name, name, StringComparison.OrdinalIgnoreCase))
        ?? throw new ArgumentException($"There is no resource '{name}'.", nameof(name)));

    /// <summary>Whether everything is as it should be in a system that runs.</summary>
    public bool IsComplete => Instances.All(i => i.IsHealthy || i.State == KnownResourceStates.Finished);

    /// <summary>Stops everything, those who depend before those they depend on.</summary>
    public async Task StopAsync()
    {
        foreach (var step in _steps.Reverse())
            await Task.WhenAll(Instances.Where(i => step.Contains(i.Resource)).Select(i => i.EndAsync()));
        await Task.WhenAll(_running);
    }

    public async ValueTask DisposeAsync()
    {
        await StopAsync();
        foreach (var instance in Instances)
            instance.Dispose();
        _guard.Dispose();
        _http.Dispose();
    }

    private async Task WaitForDependenciesAsync(Resource resource, CancellationToken cancellationToken)
    {
        foreach (var wait in resource.Waits)
        {
            await Pulse.UntilAsync(() => IsMet(wait) || FailureBehind(wait.Dependency) is not null, cancellationToken);
            if (!IsMet(wait))
                throw new DistributedApplicationException($"'{FailureBehind(wait.Dependency)!.DisplayName}', which it waits for, failed");
        }
    }

    private bool IsMet(WaitAnnotation wait) => wait.IsForCompletion
        ? Of(wait.Dependency.Name).All(i => i.State == KnownResourceStates.Finished && i.ExitCode == wait.ExitCode)
        : IsReady(wait.Dependency);

    private Instance? FailureBehind(IResource resource) => resource is PostgresDatabaseResource database
        ? FailureBehind(database.Parent)
        : Of(resource.Name).FirstOrDefault(i => i.HasFailed);

    private Recipe? RecipeFor(Resource resource, ConsoleBoard board) => resource switch
    {
        ProjectResource project => new ProjectRecipe(project, _application, _http),
        PostgresServerResource postgres => new PostgresRecipe(postgres, _application, text => board.Note(resource.Name, text)),
        RedisResource redis => new GarnetRecipe(redis, _application),
        _ => null, // databases, parameters and connection strings have no process
    };

    private ResourceLog OpenLog(ConsoleBoard board, Resource resource, int replica, Recipe recipe)
    {
        var name = resource.Replicas > 1 ? $"{resource.Name}-{replica}" : resource.Name;
        return new ResourceLog(
            Path.Combine(_application.Data.LogFolder, $"{name}.log"),
            line =>
            {
                if (!recipe.IsChatter(line))
                    board.Line(name, LogLine.Render(line));
            });
    }
}
