namespace Aspire.Hosting.ApplicationModel;

/// <summary>What can be asked of an endpoint.</summary>
public enum EndpointProperty
{
    /// <summary><c>scheme://host:port</c></summary>
    Url,

    /// <summary>Host name or address.</summary>
    Host,

    /// <summary>The address as IPv4.</summary>
    IPV4Host,

    /// <summary>The port others connect to.</summary>
    Port,

    /// <summary><c>http</c>, <c>tcp</c>…</summary>
    Scheme,

    /// <summary><c>host:port</c></summary>
    HostAndPort,
}

/// <summary>A place where a resource listens. Every replica has a port of its own: there is no proxy in front.</summary>
internal sealed class EndpointAnnotation(string name, string scheme, int? port)
{
    public string Name { get; } = name;

    public string Host { get; } = EndpointReference.Loopback;

    public string Scheme { get; } = scheme;

    /// <summary>The port asked for; null takes any free one.</summary>
    public int? Port { get; set; } = port;

    /// <summary>The ports given out, one per replica; empty before the application starts.</summary>
    public int[] Allocated { get; set; } = [];

    public string Url(int replica) => $"{Scheme}://{Host}:{Allocated[replica]}";
}

/// <summary>Points at an endpoint of a resource; of several replicas at the first.</summary>
public sealed class EndpointReference(IResourceWithEndpoints owner, string endpointName) : IValueProvider
{
    internal const string Loopback = "127.0.0.1";

    /// <summary>The endpoint's name.</summary>
    public string EndpointName { get; } = endpointName;

    /// <summary>The resource that listens.</summary>
    public IResourceWithEndpoints Resource { get; } = owner;

    /// <summary>Whether the endpoint has its port.</summary>
    public bool IsAllocated => Annotation.Allocated.Length > 0;

    /// <summary>The port.</summary>
    /// <exception cref="InvalidOperationException">The application has not started.</exception>
    public int Port => IsAllocated
        ? Annotation.Allocated[0]
        : throw new InvalidOperationException($"Endpoint '{EndpointName}' of '{Resource.Name}' has no port before the application starts.");

    /// <summary>The host: the services of one machine talk over loopback.</summary>
    public string Host => Annotation.Host;

    /// <summary><c>http</c>, <c>tcp</c>…</summary>
    public string Scheme => Annotation.Scheme;

    /// <summary><c>scheme://host:port</c></summary>
    public string Url => $"{Scheme}://{Host}:{Port}";

    internal EndpointAnnotation Annotation => ((Resource)Resource).Endpoints.FirstOrDefault(e => e.Name == EndpointName)
        ?? throw new InvalidOperationException($"Resource '{Resource.Name}' has no endpoint '{EndpointName}'.");

    /// <summary>One property, to be used inside a <see cref="ReferenceExpression"/>.</summary>
    public EndpointReferenceExpression Property(EndpointProperty property) => new(this, property);

    /// <inheritdoc />
    public ValueTask<string?> GetValueAsync(CancellationToken cancellationToken = default) => new(Url);
}

/// <summary>One property of an endpoint.</summary>
public sealed class EndpointReferenceExpression(EndpointReference endpointReference, EndpointProperty property) : IValueProvider
{
    /// <inheritdoc />
    public ValueTask<string?> GetValueAsync(CancellationToken cancellationToken = default) => new(property switch
    {
        EndpointProperty.Url => endpointReference.Url,
        EndpointProperty.Host or EndpointProperty.IPV4Host => endpointReference.Host,
        EndpointProperty.Port => endpointReference.Port.ToString(),
        EndpointProperty.Scheme => endpointReference.Scheme,
        EndpointProperty.HostAndPort => $"{endpointReference.Host}:{endpointReference.Port}",
        _ => throw new ArgumentOutOfRangeException(nameof(cancellationToken), property, "Not a property of an endpoint."),
    });
}
