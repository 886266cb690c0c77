namespace Aspire.Hosting.ApplicationModel;

/// <summary>Given to the callbacks of <c>WithEnvironment</c>.</summary>
public sealed class EnvironmentCallbackContext
{
    /// <summary>Values are strings or <see cref="IValueProvider"/>s.</summary>
    public Dictionary<string, object> EnvironmentVariables { get; } = new(StringComparer.Ordinal);
}

/// <summary>Start only when <paramref name="Dependency"/> is healthy, or when it has exited with <paramref name="ExitCode"/>.</summary>
internal sealed record WaitAnnotation(IResource Dependency, int? ExitCode)
{
    public bool IsForCompletion => ExitCode is not null;
}

/// <summary>Healthy means: GET <paramref name="Path"/> answers <paramref name="StatusCode"/>.</summary>
internal sealed record HttpHealthCheckAnnotation(string Path, int StatusCode, string EndpointName);
