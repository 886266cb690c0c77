namespace Aspire.Hosting.ApplicationModel;

/// <summary>Something the application is made of: a process, a server, a database, a parameter.</summary>
public interface IResource
{
    /// <summary>Letters, digits and hyphens; unique in the application, whatever the case.</summary>
    string Name { get; }
}

/// <summary>A resource whose process takes environment variables.</summary>
public interface IResourceWithEnvironment : IResource;

/// <summary>A resource that listens.</summary>
public interface IResourceWithEndpoints : IResource;

/// <summary>A resource that can wait for others before it starts.</summary>
public interface IResourceWithWaitSupport : IResource;

/// <summary>A resource that others reach by a connection string.</summary>
public interface IResourceWithConnectionString : IResource, IValueProvider
{
    /// <summary>How the connection string is put together.</summary>
    ReferenceExpression ConnectionStringExpression { get; }

    /// <summary>The connection string; null while there is none.</summary>
    ValueTask<string?> GetConnectionStringAsync(CancellationToken cancellationToken = default) =>
        ConnectionStringExpression.GetValueAsync(cancellationToken);

    ValueTask<string?> IValueProvider.GetValueAsync(CancellationToken cancellationToken) => GetConnectionStringAsync(cancellationToken);
}

/// <summary>Base of all resources. What the builder's words collect stands here for the engine to read.</summary>
public abstract class Resource(string name) : IResource
{
    /// <inheritdoc />
    public string Name { get; } = ResourceName.Checked(name);

    internal List<EndpointAnnotation> Endpoints { get; } = [];

    internal List<Action<EnvironmentCallbackContext>> EnvironmentCallbacks { get; } = [];

    internal List<WaitAnnotation> Waits { get; } = [];

    internal HttpHealthCheckAnnotation? HealthCheck { get; set; }

    internal int Replicas { get; set; } = 1;
}

/// <summary>What a container would be with the other engine; here it is a process of this machine.</summary>
public abstract class ContainerResource(string name) : Resource(name), IResourceWithEnvironment, IResourceWithEndpoints, IResourceWithWaitSupport;

/// <summary>A .NET project of this repository.</summary>
public sealed class ProjectResource(string name, string projectPath)
    : Resource(name), IResourceWithEnvironment, IResourceWithServiceDiscovery, IResourceWithWaitSupport
{
    internal string ProjectPath { get; } = projectPath;
}

/// <summary>A PostgreSQL server.</summary>
public sealed class PostgresServerResource : ContainerResource, IResourceWithConnectionString
{
    internal const string UserName = "postgres";

    /// <summary>Creates the server with its superuser's password.</summary>
    public PostgresServerResource(string name, ParameterResource passwordParameter) : base(name)
    {
        PasswordParameter = passwordParameter;
        Endpoints.Add(new EndpointAnnotation("tcp", "tcp", port: null));
    }

    /// <summary>The superuser's password.</summary>
    public ParameterResource PasswordParameter { get; }

    /// <summary>Where the server listens.</summary>
    public EndpointReference PrimaryEndpoint => new(this, "tcp");

    /// <inheritdoc />
    public ReferenceExpression ConnectionStringExpression => ReferenceExpression.Create(
        $"Host={PrimaryEndpoint.Property(EndpointProperty.Host)};Port={PrimaryEndpoint.Property(EndpointProperty.Port)};Username={UserName};Password={PasswordParameter}");
}

/// <summary>A database of a <see cref="PostgresServerResource"/>; ready when its server is.</summary>
public sealed class PostgresDatabaseResource(string name, string databaseName, PostgresServerResource postgresParentResource)
    : Resource(name), IResourceWithConnectionString
{
    /// <summary>The database's name on the server.</summary>
    public string DatabaseName { get; } = databaseName;

    /// <summary>The server it is on.</summary>
    public PostgresServerResource Parent { get; } = postgresParentResource;

    /// <inheritdoc />
    public ReferenceExpression ConnectionStringExpression => ReferenceExpression.Create($"{Parent};Database={DatabaseName}");
}

/// <summary>A server that speaks Redis' protocol (here: Garnet).</summary>
public sealed class RedisResource : ContainerResource, IResourceWithConnectionString
{
    /// <summary>Creates the server with its password.</summary>
    public RedisResource(string name, ParameterResource password) : base(name)
    {
        PasswordParameter = password;
        Endpoints.Add(new EndpointAnnotation("tcp", "tcp", port: null));
    }

    /// <summary>The password of the default user.</summary>
    public ParameterResource PasswordParameter { get; }

    /// <summary>Where the server listens.</summary>
    public EndpointReference PrimaryEndpoint => new(this, "tcp");

    /// <inheritdoc />
    public ReferenceExpression ConnectionStringExpression => ReferenceExpression.Create(
        $"{PrimaryEndpoint.Property(EndpointProperty.Host)}:{PrimaryEndpoint.Property(EndpointProperty.Port)},password={PasswordParameter}");
}

internal static class ResourceName
{
    public static string Checked(string name) =>
        name.Length is > 0 and <= 64 && char.IsAsciiLetter(name[0]) && name.All(c => char.IsAsciiLetterOrDigit(c) || c == '-')
            ? name
            : throw new ArgumentException($"'{name}' is not a resource name: it starts with a letter and takes letters, digits and hyphens.", nameof(name));
}
