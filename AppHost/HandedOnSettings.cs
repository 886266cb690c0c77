using Microsoft.Extensions.Configuration;

namespace AiAspire.AppHost;

/// <summary>Settings that the AppHost was given for its processes.</summary>
internal static class HandedOnSettings
{
    private static readonly string[] ModelSections = ["Providers", "Aliases", "FeatureRoutes", "Routing"];

    /// <summary>
    /// Hands on the sections that describe providers and models, and those named, wherever they were set (command line, environment,
    /// user secrets, <c>appsettings.json</c>): a further OpenAI-compatible provider is a matter of settings.
    /// </summary>
    public static IResourceBuilder<ProjectResource> WithSettings(this IResourceBuilder<ProjectResource> project, params string[] sections)
    {
        foreach (var setting in ModelSections.Concat(sections).SelectMany(s => project.ApplicationBuilder.Configuration.GetSection(s).AsEnumerable()))
            if (setting.Value is not null)
                project.WithEnvironment(setting.Key.Replace(":", "__", StringComparison.Ordinal), setting.Value);
        return project;
    }

    /// <summary>Hands on a company's API key, if there is one: then the real company is called.</summary>
    public static IResourceBuilder<ParameterResource>? FindApiKey(this IDistributedApplicationBuilder builder, string company) =>
        (builder.Configuration[$"Parameters:{company}-api-key"] ?? builder.Configuration[$"{company.ToUpperInvariant()}_API_KEY"]) is { Length: > 0 } key
            ? builder.AddParameter($"{company}-api-key", key, secret: true)
            : null;

    /// <summary>Sets a variable to a parameter's value if there is such a parameter.</summary>
    public static IResourceBuilder<ProjectResource> WithOptionalEnvironment(
        this IResourceBuilder<ProjectResource> project, string name, IResourceBuilder<ParameterResource>? parameter) =>
        parameter is null ? project : project.WithEnvironment(name, parameter);
}
