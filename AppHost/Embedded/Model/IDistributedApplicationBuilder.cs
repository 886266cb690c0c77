using Aspire.Hosting.ApplicationModel;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.Hosting;

namespace Aspire.Hosting;

/// <summary>An application under construction.</summary>
public interface IDistributedApplicationBuilder
{
    /// <summary>Settings: <c>appsettings.json</c>, user secrets, environment, command line; the last wins.</summary>
    ConfigurationManager Configuration { get; }

    /// <summary>Folder of the AppHost's project file.</summary>
    string AppHostDirectory { get; }

    /// <summary>Development unless <c>DOTNET_ENVIRONMENT</c> says otherwise.</summary>
    IHostEnvironment Environment { get; }

    /// <summary>This engine only runs; it does not publish.</summary>
    DistributedApplicationExecutionContext ExecutionContext { get; }

    /// <summary>The resources added so far, in order.</summary>
    IReadOnlyList<IResource> Resources { get; }

    /// <summary>Adds a resource.</summary>
    /// <exception cref="DistributedApplicationException">The name is taken.</exception>
    IResourceBuilder<T> AddResource<T>(T resource) where T : IResource;

    /// <summary>Wraps a resource without adding it.</summary>
    IResourceBuilder<T> CreateResourceBuilder<T>(T resource) where T : IResource;

    /// <summary>Ends construction.</summary>
    DistributedApplication Build();
}

/// <summary>What the AppHost was started for.</summary>
public sealed class DistributedApplicationExecutionContext
{
    /// <summary>Always true here.</summary>
    public bool IsRunMode => !IsPublishMode;

    /// <summary>Always false here: publishing needs the aspire engine.</summary>
    public bool IsPublishMode { get; internal init; }
}

/// <summary>Something about the application is wrong in a way its author or user can put right; the message says how.</summary>
public class DistributedApplicationException : Exception
{
    /// <summary>Without a message.</summary>
    public DistributedApplicationException()
    {
    }

    /// <summary>With a message for the user.</summary>
    public DistributedApplicationException(string message) : base(message)
    {
    }

    /// <summary>With a message for the user and its cause.</summary>
    public DistributedApplicationException(string message, Exception innerException) : base(message, innerException)
    {
    }
}
