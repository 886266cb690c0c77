namespace Aspire.Hosting.ApplicationModel;

/// <summary>Carries a resource while the words are said about it.</summary>
public interface IResourceBuilder<out T> where T : IResource
{
    /// <summary>The application under construction.</summary>
    IDistributedApplicationBuilder ApplicationBuilder { get; }

    /// <summary>The resource.</summary>
    T Resource { get; }
}

internal sealed record ResourceBuilder<T>(IDistributedApplicationBuilder ApplicationBuilder, T Resource) : IResourceBuilder<T> where T : IResource;
