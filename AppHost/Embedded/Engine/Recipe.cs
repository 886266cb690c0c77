using System.Net.Sockets;
using System.Text;
using Aspire.Hosting.ApplicationModel;

namespace Aspire.Hosting.Embedded;

/// <summary>How one kind of resource is run and looked after.</summary>
internal abstract class Recipe
{
    /// <summary>Once, before the first start: find binaries, make data.</summary>
    public virtual Task PrepareAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    /// <summary>Before every start.</summary>
    public abstract Task<ProcessSpec> SpecAsync(int replica, CancellationToken cancellationToken);

    /// <summary>Null when healthy, else why not.</summary>
    public abstract Task<string?> CheckAsync(int replica, CancellationToken cancellationToken);

    /// <summary>Whether a log line is only for the file.</summary>
    public virtual bool IsChatter(string line) => false;

    /// <summary>What the user can do when it fails.</summary>
    public abstract string Remedy { get; }
}

/// <summary>A .NET project: <c>dotnet exec</c> of what the build made, in the project's folder.</summary>
internal sealed class ProjectRecipe(ProjectResource project, EmbeddedApplicationBuilder application, HttpMessageInvoker http) : Recipe
{
    // Ours, not our children's: where the AppHost itself listens, and keys that are handed on by name where they are meant to go.
    private static readonly string[] NotInherited =
        ["ASPNETCORE_URLS", "ASPNETCORE_HTTP_PORTS", "DOTNET_LAUNCH_PROFILE", "ASPIRE_ALLOW_UNSECURED_TRANSPORT", "OPENAI_API_KEY", "ANTHROPIC_API_KEY"];

    private readonly string _assembly = BuildFacts.AssemblyOf(project.ProjectPath);

    public override string Remedy =>
        $"read the lines above or the whole log in {application.Data.LogFolder}; after a change of code build again; with a broken database, --reset starts over.";

    public override async Task<ProcessSpec> SpecAsync(int replica, CancellationToken cancellationToken)
    {
        if (!File.Exists(_assembly))
            throw new DistributedApplicationException($"{_assembly} is not there: build it with 'dotnet build {project.ProjectPath}'.");

        var environment = NotInherited.ToDictionary(name => name, _ => (string?)null, StringComparer.Ordinal);
        environment["OTEL_SERVICE_NAME"] = project.Name;
        environment["OTEL_RESOURCE_ATTRIBUTES"] = $"service.instance.id={project.Name}-{replica}-{application.Options.Time.GetUtcNow():yyyyMMddHHmmssfff}";
        environment["DOTNET_ENVIRONMENT"] = environment["ASPNETCORE_ENVIRONMENT"] = application.Environment.EnvironmentName;
        if (project.Endpoints.Count > 0)
            environment["ASPNETCORE_URLS"] = string.Join(';', project.Endpoints.Select(e => e.Url(replica)));

        var context = new EnvironmentCallbackContext();
        foreach (var callback in project.EnvironmentCallbacks)
            callback(context);
        foreach (var (name, value) in context.EnvironmentVariables)
            environment[name] = value is IValueProvider provider ? await provider.GetValueAsync(cancellationToken) : value.ToString();

        return new ProcessSpec([DotNetHost.Path, "exec", _assembly], Path.GetDirectoryName(project.ProjectPath)!) { Environment = environment };
    }

    public override async Task<string?> CheckAsync(int replica, CancellationToken cancellationToken)
    {
        if (project.HealthCheck is not { } check)
            return null;

        var endpoint = project.Endpoints.First(e => e.Name == check.EndpointName);
        try
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, endpoint.Url(replica) + check.Path);
            using var response = await http.SendAsync(request, cancellationToken);
            return (int)response.StatusCode == check.StatusCode ? null : $"GET {request.RequestUri} answered {(int)response.StatusCode}, not {check.StatusCode}";
        }
        catch (HttpRequestException e)
        {
            return e.Message;
        }
    }
}

/// <summary>PostgreSQL from this machine's binaries, or from fetched ones.</summary>
internal sealed class PostgresRecipe(PostgresServerResource server, EmbeddedApplicationBuilder application, Action<string> say) : Recipe
{
    private readonly PostgresCluster _cluster = new(application.Data, UnprivilegedUser.ForRoot(), say);
    private readonly bool _durable = !string.Equals(application.Configuration["Postgres:Fsync"], "off", StringComparison.OrdinalIgnoreCase);
    private PostgresBinaries? _binaries;
    private string _password = "";

    public override string Remedy =>
        "read the lines above; --reset starts over with an empty database; --no-local-postgres takes a fetched server instead of the machine's.";

    public override bool IsChatter(string line) => LogLine.IsPostgresChatter(line);

    public override async Task PrepareAsync(CancellationToken cancellationToken)
    {
        _password = await server.PasswordParameter.GetValueAsync(cancellationToken) ?? "";
        var existing = await _cluster.LocateAsync(cancellationToken);
        _binaries = await PostgresChoice.ChooseAsync(application.Configuration, existing, say, cancellationToken);
        if (existing is null)
            await _cluster.CreateAsync(_binaries, PostgresServerResource.UserName, _password, _durable, cancellationToken);
    }

    public override async Task<ProcessSpec> SpecAsync(int replica, CancellationToken cancellationToken)
    {
        await _cluster.RecoverAsync(application.Options.Time, cancellationToken);
        return _cluster.Server(_binaries!, server.Endpoints[0].Allocated[replica], _durable);
    }

    public override Task<string?> CheckAsync(int replica, CancellationToken cancellationToken) =>
        PostgresCluster.CheckAsync(server.Endpoints[0].Allocated[replica], PostgresServerResource.UserName, _password, cancellationToken);
}

/// <summary>Garnet in a child process: this very program, started with its hidden verb.</summary>
internal sealed class GarnetRecipe(RedisResource server, EmbeddedApplicationBuilder application) : Recipe
{
    public override string Remedy => "read the lines above; --port redis=N chooses another port.";

    public override async Task<ProcessSpec> SpecAsync(int replica, CancellationToken cancellationToken) => new(
        [DotNetHost.Path, "exec", BuildFacts.AssemblyOf(Path.Combine(application.AppHostDirectory, "AppHost.csproj")), GarnetVerb.Name],
        application.Data.Path)
    {
        Environment = new Dictionary<string, string?>(StringComparer.Ordinal)
        {
            [GarnetVerb.PortVariable] = server.Endpoints[0].Allocated[replica].ToString(),
            [GarnetVerb.PasswordVariable] = await server.PasswordParameter.GetValueAsync(cancellationToken),
            // Garnet answers each command where its socket's event is taken up; handing it to another thread first doubles the processor time of a command.
            ["DOTNET_SYSTEM_NET_SOCKETS_INLINE_COMPLETIONS"] = "1",
            // As in Directory.Build.props.
            ["DOTNET_ThreadPool_UnfairSemaphoreSpinLimit"] = "0",
        },
    };

    /// <summary>An authenticated PING.</summary>
    public override async Task<string?> CheckAsync(int replica, CancellationToken cancellationToken)
    {
        try
        {
            using var client = new TcpClient();
            await client.ConnectAsync("127.0.0.1", server.Endpoints[0].Allocated[replica], cancellationToken);
            var stream = client.GetStream();
            var password = await server.PasswordParameter.GetValueAsync(cancellationToken) ?? "";
            // *2 $4 AUTH $n password, *1 $4 PING: arrays of strings with their lengths (RESP)
            var question = $"*2\r\n$4\r\nAUTH\r\n${password.Length}\r\n{password}\r\n*1\r\n$4\r\nPING\r\n";
            await stream.WriteAsync(Encoding.ASCII.GetBytes(question), cancellationToken);
            using var reader = new StreamReader(stream, Encoding.ASCII);
            var (auth, ping) = (await reader.ReadLineAsync(cancellationToken), await reader.ReadLineAsync(cancellationToken));
            return auth == "+OK" && ping == "+PONG" ? null : $"AUTH answered '{auth}', PING '{ping}'";
        }
        catch (Exception e) when (e is SocketException or IOException)
        {
            return e.Message;
        }
    }
}
