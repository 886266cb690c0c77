using Microsoft.Extensions.Configuration;
using Npgsql;

namespace AiAspire.AppHost;

/// <summary>
/// A PostgreSQL database and how each role logs in to it. It is on a server of ours, or on one whose connection string was given.
/// </summary>
internal sealed record Database(
    string Name, IResourceBuilder<IResourceWithConnectionString> Superuser, ReferenceExpression Server, IResourceBuilder<PostgresServerResource>? Ours)
{
    /// <summary>The connection string of a login role.</summary>
    public ReferenceExpression As(string role, IResourceBuilder<ParameterResource> password) =>
        ReferenceExpression.Create($"{Server};Username={role};Password={password.Resource};Database={Name}");
}

/// <summary>Databases, Redis and the passwords of the roles, in words for <c>Program.cs</c>.</summary>
internal static class DatabaseExtensions
{
    /// <summary>The database that the settings name as <c>ConnectionStrings:name</c>; null when they do not.</summary>
    public static Database? FindDatabase(this IDistributedApplicationBuilder builder, string name)
    {
        if (builder.Configuration.GetConnectionString(name) is not { Length: > 0 } given)
            return null;

        var parts = new NpgsqlConnectionStringBuilder(given);
        return OnGivenServer(parts.Database is { Length: > 0 } database ? database : name, parts, builder.AddConnectionString(name));
    }

    /// <summary>A database of this server.</summary>
    public static Database HoldDatabase(this IResourceBuilder<PostgresServerResource> server, string name)
    {
        var endpoint = server.Resource.PrimaryEndpoint;
        return new Database(
            name, server.AddDatabase(name),
            ReferenceExpression.Create($"Host={endpoint.Property(EndpointProperty.Host)};Port={endpoint.Property(EndpointProperty.Port)}"), server);
    }

    /// <summary>One more database beside this one, on the same server.</summary>
    public static Database HoldBeside(this IDistributedApplicationBuilder builder, Database neighbour, string name)
    {
        if (neighbour.Ours is { } server)
            return server.HoldDatabase(name);

        var parts = new NpgsqlConnectionStringBuilder(builder.Configuration.GetConnectionString(neighbour.Superuser.Resource.Name)) { Database = name };
        return OnGivenServer(name, parts, builder.AddConnectionString(name, ReferenceExpression.Create($"{parts.ConnectionString}")));
    }

    /// <summary>Redis as the settings name it, else a server of ours.</summary>
    public static IResourceBuilder<IResourceWithConnectionString> FindOrAddRedis(this IDistributedApplicationBuilder builder, string name) =>
        builder.Configuration.GetConnectionString(name) is { Length: > 0 } ? builder.AddConnectionString(name) : builder.AddRedis(name);

    /// <summary>A password made once and kept; <c>Parameters:name</c> gives another.</summary>
    public static IResourceBuilder<ParameterResource> AddKeptPassword(this IDistributedApplicationBuilder builder, string name) =>
        builder.AddParameter(name, new GenerateParameterDefault { MinLength = 24, Special = false }, secret: true, persist: true);

    /// <summary>The given string without its login, so that each role's own can be put there.</summary>
    private static Database OnGivenServer(string database, NpgsqlConnectionStringBuilder parts, IResourceBuilder<IResourceWithConnectionString> superuser)
    {
        var server = new NpgsqlConnectionStringBuilder(parts.ConnectionString);
        server.Remove("Username");
        server.Remove("Password");
        server.Remove("Database");
        return new Database(database, superuser, ReferenceExpression.Create($"{server.ConnectionString}"), Ours: null);
    }
}
