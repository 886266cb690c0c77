namespace Projects;

/// <summary>Stands for the AppHost in tests, as the class that Aspire generates does.</summary>
public sealed class AppHost
{
    private AppHost()
    {
    }

    /// <summary>Folder of the AppHost's project file.</summary>
    public static string ProjectPath => Aspire.Hosting.Embedded.BuildFacts.AppHostDirectory;
}
