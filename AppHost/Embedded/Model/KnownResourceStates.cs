namespace Aspire.Hosting.ApplicationModel;

/// <summary>The words for what a resource is doing.</summary>
public static class KnownResourceStates
{
    /// <summary>Not begun.</summary>
    public const string NotStarted = "NotStarted";

    /// <summary>For a dependency.</summary>
    public const string Waiting = "Waiting";

    /// <summary>Its process is being started, or started again.</summary>
    public const string Starting = "Starting";

    /// <summary>Its process runs.</summary>
    public const string Running = "Running";

    /// <summary>It was stopped on request.</summary>
    public const string Exited = "Exited";

    /// <summary>It ran to its end, as it should.</summary>
    public const string Finished = "Finished";

    /// <summary>It could not be started, or never became healthy. It stays so.</summary>
    public const string FailedToStart = "FailedToStart";
}
