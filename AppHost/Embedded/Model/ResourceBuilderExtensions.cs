using Aspire.Hosting.ApplicationModel;

namespace Aspire.Hosting;

/// <summary>The words that say how a resource is wired.</summary>
public static class ResourceBuilderExtensions
{
    /// <summary>Sets an environment variable; null sets an empty one.</summary>
    public static IResourceBuilder<T> WithEnvironment<T>(this IResourceBuilder<T> builder, string name, string? value)
        where T : IResourceWithEnvironment => builder.WithEnvironment(context => context.EnvironmentVariables[name] = value ?? "");

    /// <summary>Sets an environment variable to a string whose holes are filled at the start.</summary>
    public static IResourceBuilder<T> WithEnvironment<T>(
        this IResourceBuilder<T> builder, string name, in ReferenceExpression.ExpressionInterpolatedStringHandler value)
        where T : IResourceWithEnvironment => builder.WithEnvironment(name, ReferenceExpression.Create(value));

    /// <summary>Sets an environment variable to an expression's value.</summary>
    public static IResourceBuilder<T> WithEnvironment<T>(this IResourceBuilder<T> builder, string name, ReferenceExpression value)
        where T : IResourceWithEnvironment => builder.WithEnvironment(context => context.EnvironmentVariables[name] = value);

    /// <summary>Sets an environment variable to a parameter's value.</summary>
    public static IResourceBuilder<T> WithEnvironment<T>(this IResourceBuilder<T> builder, string name, IResourceBuilder<ParameterResource> parameter)
        where T : IResourceWithEnvironment => builder.WithEnvironment(context => context.EnvironmentVariables[name] = parameter.Resource);

    /// <summary>Sets an environment variable to an endpoint's URL.</summary>
    public static IResourceBuilder<T> WithEnvironment<T>(this IResourceBuilder<T> builder, string name, EndpointReference endpointReference)
        where T : IResourceWithEnvironment => builder.WithEnvironment(context => context.EnvironmentVariables[name] = endpointReference);

    /// <summary>Sets environment variables just before each start.</summary>
    public static IResourceBuilder<T> WithEnvironment<T>(this IResourceBuilder<T> builder, Action<EnvironmentCallbackContext> callback)
        where T : IResourceWithEnvironment
    {
        builder.Model().EnvironmentCallbacks.Add(callback);
        return builder;
    }

    /// <summary>Injects <c>ConnectionStrings__name</c>.</summary>
    public static IResourceBuilder<TDestination> WithReference<TDestination>(
        this IResourceBuilder<TDestination> builder, IResourceBuilder<IResourceWithConnectionString> source, string? connectionName = null, bool optional = false)
        where TDestination : IResourceWithEnvironment =>
        builder.WithEnvironment(context => context.EnvironmentVariables[$"ConnectionStrings__{connectionName ?? source.Resource.Name}"] = source.Resource);

    /// <summary>Injects <c>services__name__endpoint__n</c> for each endpoint and replica, as service discovery reads them.</summary>
    public static IResourceBuilder<TDestination> WithReference<TDestination>(
        this IResourceBuilder<TDestination> builder, IResourceBuilder<IResourceWithServiceDiscovery> source)
        where TDestination : IResourceWithEnvironment => builder.WithEnvironment(context =>
        {
            foreach (var endpoint in source.Model().Endpoints)
                for (var replica = 0; replica < endpoint.Allocated.Length; replica++)
                    context.EnvironmentVariables[$"services__{source.Resource.Name}__{endpoint.Name}__{replica}"] = endpoint.Url(replica);
        });

    /// <summary>Adds an HTTP endpoint; without <paramref name="port"/> any free port is taken.</summary>
    public static IResourceBuilder<T> WithHttpEndpoint<T>(
        this IResourceBuilder<T> builder, int? port = null, int? targetPort = null, string? name = null, string? env = null, bool isProxied = true)
        where T : IResourceWithEndpoints
    {
        var endpoint = new EndpointAnnotation(name ?? "http", "http", port ?? targetPort);
        if (builder.Model().Endpoints.Any(e => e.Name == endpoint.Name))
            throw new DistributedApplicationException($"Resource '{builder.Resource.Name}' already has an endpoint '{endpoint.Name}'.");

        builder.Model().Endpoints.Add(endpoint);
        if (env is not null)
            builder.Model().EnvironmentCallbacks.Add(context => context.EnvironmentVariables[env] = endpoint.Allocated[0].ToString());
        return builder;
    }

    /// <summary>Says that the outside may call. Everything listens on loopback here, so nothing follows from it.</summary>
    public static IResourceBuilder<T> WithExternalHttpEndpoints<T>(this IResourceBuilder<T> builder) where T : IResourceWithEndpoints => builder;

    /// <summary>Healthy means: GET <paramref name="path"/> answers <paramref name="statusCode"/> (default 200).</summary>
    public static IResourceBuilder<T> WithHttpHealthCheck<T>(
        this IResourceBuilder<T> builder, string? path = null, int? statusCode = null, string? endpointName = null) where T : IResourceWithEndpoints
    {
        builder.Model().HealthCheck = new HttpHealthCheckAnnotation(path ?? "/", statusCode ?? 200, endpointName ?? "http");
        return builder;
    }

    /// <summary>Points at an endpoint.</summary>
    public static EndpointReference GetEndpoint<T>(this IResourceBuilder<T> builder, string name) where T : IResourceWithEndpoints =>
        new(builder.Resource, name);

    /// <summary>Starts only when the other is healthy, all replicas of it.</summary>
    public static IResourceBuilder<T> WaitFor<T>(this IResourceBuilder<T> builder, IResourceBuilder<IResource> dependency)
        where T : IResourceWithWaitSupport
    {
        builder.Model().Waits.Add(new WaitAnnotation(dependency.Resource, ExitCode: null));
        return builder;
    }

    /// <summary>Starts only when the other has run to its end with this exit code.</summary>
    public static IResourceBuilder<T> WaitForCompletion<T>(this IResourceBuilder<T> builder, IResourceBuilder<IResource> dependency, int exitCode = 0)
        where T : IResourceWithWaitSupport
    {
        builder.Model().Waits.Add(new WaitAnnotation(dependency.Resource, exitCode));
        return builder;
    }

    /// <summary>Runs so many processes of a project.</summary>
    public static IResourceBuilder<ProjectResource> WithReplicas(this IResourceBuilder<ProjectResource> builder, int replicas)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(replicas, 1);
        builder.Resource.Replicas = replicas;
        return builder;
    }

    /// <summary>The container image of the other engine; this one takes the machine's binaries.</summary>
    public static IResourceBuilder<T> WithImage<T>(this IResourceBuilder<T> builder, string image, string? tag = null)
        where T : ContainerResource => builder;

    /// <summary>The container volume of the other engine; this one keeps everything in the data folder.</summary>
    public static IResourceBuilder<T> WithVolume<T>(this IResourceBuilder<T> builder, string? name, string target, bool isReadOnly = false)
        where T : ContainerResource => builder;

    private static Resource Model<T>(this IResourceBuilder<T> builder) where T : IResource => (Resource)(IResource)builder.Resource;
}
