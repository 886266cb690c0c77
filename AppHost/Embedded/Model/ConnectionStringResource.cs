using Aspire.Hosting.ApplicationModel;

namespace Aspire.Hosting;

/// <summary>A resource that others find by name: <c>http://name</c>.</summary>
public interface IResourceWithServiceDiscovery : IResourceWithEndpoints;

/// <summary>A connection string that stands for something the AppHost does not run.</summary>
public sealed class ConnectionStringResource(string name, ReferenceExpression connectionStringExpression)
    : Resource(name), IResourceWithConnectionString, IResourceWithWaitSupport
{
    /// <inheritdoc />
    public ReferenceExpression ConnectionStringExpression { get; } = connectionStringExpression;
}
