using System.Reflection;
using AiAspire.AppHost;
using Aspire.Hosting.ApplicationModel;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.FileProviders;
using Microsoft.Extensions.Hosting;

namespace Aspire.Hosting.Embedded;

/// <summary>Collects the resources and opens the data folder.</summary>
internal sealed class EmbeddedApplicationBuilder : IDistributedApplicationBuilder
{
    private readonly List<IResource> _resources = [];

    public EmbeddedApplicationBuilder(string[] args, EmbeddedOptions options)
    {
        var commandLine = LaunchOptions.Parse(args);
        Options = options;
        AppHostDirectory = BuildFacts.AppHostDirectory;

        Configuration.SetBasePath(AppHostDirectory);
        Configuration.AddJsonFile("appsettings.json", optional: true);
        if (!Options.Testing)
        {
            // A test must not depend on the machine's settings, least of all on keys that cost money.
            Configuration.AddUserSecrets(BuildFacts.Get("UserSecretsId"));
            Configuration.AddEnvironmentVariables();
        }

        Configuration.AddInMemoryCollection(commandLine.Settings);
        Environment = new AppHostEnvironment(
            Configuration["DOTNET_ENVIRONMENT"] ?? Configuration["ASPNETCORE_ENVIRONMENT"] ?? Environments.Development, AppHostDirectory);

        Data = new DataFolder(commandLine.Data ?? Options.DataFolder ?? DevelopmentSecrets.DefaultDataFolder);
        Configuration["data"] = Data.Path;
        Data.Open();
        if (commandLine.Reset)
            Data.Clear();
    }

    public ConfigurationManager Configuration { get; } = new();

    public string AppHostDirectory { get; }

    public IHostEnvironment Environment { get; }

    public DistributedApplicationExecutionContext ExecutionContext { get; } = new();

    public IReadOnlyList<IResource> Resources => _resources;

    public EmbeddedOptions Options { get; }

    public DataFolder Data { get; }

    public IResourceBuilder<T> AddResource<T>(T resource) where T : IResource
    {
        if (_resources.Any(r => string.Equals(r.Name, resource.Name, StringComparison.OrdinalIgnoreCase)))
            throw new DistributedApplicationException($"There are two resources named '{resource.Name}'.");

        _resources.Add(resource);
        return CreateResourceBuilder(resource);
    }

    public IResourceBuilder<T> CreateResourceBuilder<T>(T resource) where T : IResource => new ResourceBuilder<T>(this, resource);

    public DistributedApplication Build() => new(this);

    private sealed class AppHostEnvironment(string name, string directory) : IHostEnvironment
    {
        public string EnvironmentName { get; set; } = name;

        public string ApplicationName { get; set; } = "AppHost";

        public string ContentRootPath { get; set; } = directory;

        public IFileProvider ContentRootFileProvider { get; set; } = new NullFileProvider();
    }
}

/// <summary>How this engine behaves; the defaults are those of <c>dotnet run</c>.</summary>
internal sealed record EmbeddedOptions
{
    public bool Testing { get; init; }

    public string? DataFolder { get; init; }

    public TimeProvider Time { get; init; } = TimeProvider.System;
}

/// <summary>What the build wrote into this assembly.</summary>
internal static class BuildFacts
{
    /// <summary>Folder of the AppHost's project file, wherever the assembly was copied to.</summary>
    public static string AppHostDirectory => DevelopmentSecrets.AppHostDirectory;

    /// <summary>Debug or Release: the projects are started from the same.</summary>
    public static string Configuration { get; } =
        typeof(BuildFacts).Assembly.GetCustomAttribute<AssemblyConfigurationAttribute>()?.Configuration ?? "Debug";

    /// <summary>Where the build puts a project's assembly.</summary>
    public static string AssemblyOf(string projectFile) => Path.Combine(
        Path.GetDirectoryName(projectFile)!, "bin", Configuration, Get("TargetFramework"),
        $"AiAspire.{Path.GetFileNameWithoutExtension(projectFile)}.dll");

    public static string Get(string key) => typeof(BuildFacts).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>()
        .FirstOrDefault(a => a.Key == key)?.Value ?? throw new InvalidOperationException($"The build left no '{key}' in the assembly.");
}
