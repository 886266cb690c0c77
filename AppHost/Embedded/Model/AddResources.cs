using Aspire.Hosting.ApplicationModel;
using Aspire.Hosting.Embedded;
using Microsoft.Extensions.Configuration;

namespace Aspire.Hosting;

/// <summary>The words that add projects.</summary>
public static class ProjectResourceBuilderExtensions
{
    /// <summary>Adds a project of this repository; the path is relative to the AppHost's folder. Launch profiles are not read.</summary>
    public static IResourceBuilder<ProjectResource> AddProject(
        this IDistributedApplicationBuilder builder, string name, string projectPath, string? launchProfileName) =>
        builder.AddResource(new ProjectResource(name, Path.GetFullPath(projectPath, builder.AppHostDirectory)));
}

/// <summary>The words that add PostgreSQL.</summary>
public static class PostgresBuilderExtensions
{
    /// <summary>Adds a PostgreSQL server of its own, with a generated password that lasts as long as its data.</summary>
    public static IResourceBuilder<PostgresServerResource> AddPostgres(
        this IDistributedApplicationBuilder builder, string name,
        IResourceBuilder<ParameterResource>? userName = null, IResourceBuilder<ParameterResource>? password = null, int? port = null)
    {
        if (userName is not null)
            throw new DistributedApplicationException($"The embedded engine names the superuser itself ('{PostgresServerResource.UserName}').");

        var server = new PostgresServerResource(name, password?.Resource ?? builder.GeneratedPassword(name));
        server.Endpoints[0].Port = port;
        return builder.AddResource(server);
    }

    /// <summary>Names a database of the server. Whoever owns its schema creates it.</summary>
    public static IResourceBuilder<PostgresDatabaseResource> AddDatabase(
        this IResourceBuilder<PostgresServerResource> builder, string name, string? databaseName = null) =>
        builder.ApplicationBuilder.AddResource(new PostgresDatabaseResource(name, databaseName ?? name, builder.Resource));
}

/// <summary>The words that add Redis.</summary>
public static class RedisBuilderExtensions
{
    /// <summary>Adds a server that speaks Redis' protocol, with a generated password. It keeps nothing on disk.</summary>
    public static IResourceBuilder<RedisResource> AddRedis(
        this IDistributedApplicationBuilder builder, string name, int? port = null, IResourceBuilder<ParameterResource>? password = null)
    {
        var server = new RedisResource(name, password?.Resource ?? builder.GeneratedPassword(name));
        server.Endpoints[0].Port = port;
        return builder.AddResource(server);
    }
}

/// <summary>The words that add a connection string made from parts.</summary>
public static class ConnectionStringBuilderExtensions
{
    /// <summary>Adds a connection string made from an expression.</summary>
    public static IResourceBuilder<ConnectionStringResource> AddConnectionString(
        this IDistributedApplicationBuilder builder, string name, ReferenceExpression connectionStringExpression) =>
        builder.AddResource(new ConnectionStringResource(name, connectionStringExpression));
}

/// <summary>The words that add values from outside.</summary>
public static class ParameterResourceBuilderExtensions
{
    /// <summary>Adds the connection string that stands in the settings as <c>ConnectionStrings:name</c>.</summary>
    public static IResourceBuilder<IResourceWithConnectionString> AddConnectionString(
        this IDistributedApplicationBuilder builder, string name, string? environmentVariableName = null) =>
        builder.AddConnectionString(name, ReferenceExpression.Create(
            $"{builder.Configuration.GetConnectionString(name) ?? throw new DistributedApplicationException($"ConnectionStrings:{name} is not set.")}"));

    /// <summary>Adds a parameter that must be given.</summary>
    public static IResourceBuilder<ParameterResource> AddParameter(this IDistributedApplicationBuilder builder, string name, bool secret = false) =>
        builder.AddResource(new ParameterResource(name, () => builder.Configuration[$"Parameters:{name}"], secret));

    /// <summary>Adds a parameter with a value; the settings still win.</summary>
    public static IResourceBuilder<ParameterResource> AddParameter(
        this IDistributedApplicationBuilder builder, string name, string value, bool publishValueAsDefault = false, bool secret = false) =>
        builder.AddResource(new ParameterResource(name, () => builder.Configuration[$"Parameters:{name}"] ?? value, secret));

    /// <summary>Adds a parameter with a made value; <paramref name="persist"/> keeps it in the data folder.</summary>
    public static IResourceBuilder<ParameterResource> AddParameter(
        this IDistributedApplicationBuilder builder, string name, ParameterDefault value, bool secret = false, bool persist = false) =>
        builder.AddResource(Generated(builder, name, value, secret, persist));

    internal static ParameterResource GeneratedPassword(this IDistributedApplicationBuilder builder, string name) =>
        Generated(builder, $"{name}-password", new GenerateParameterDefault { Special = false }, secret: true, persist: true);

    private static ParameterResource Generated(
        IDistributedApplicationBuilder builder, string name, ParameterDefault value, bool secret, bool persist) =>
        new(name, () => builder.Configuration[$"Parameters:{name}"]
            ?? (persist ? ((EmbeddedApplicationBuilder)builder).Data.KeptParameter(name, value.GetDefaultValue) : value.GetDefaultValue()), secret);
}
