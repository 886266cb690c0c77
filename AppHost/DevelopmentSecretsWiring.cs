namespace AiAspire.AppHost;

/// <summary>
/// Who gets which development secret. When publishing there are none (<c>null</c>): a published system must not run on keys that
/// lie in somebody's working copy.
/// </summary>
internal static class DevelopmentSecretsWiring
{
    public static DevelopmentSecrets? AddDevelopmentSecrets(this IDistributedApplicationBuilder builder)
    {
        if (!builder.ExecutionContext.IsRunMode)
            return null;

        var secrets = DevelopmentSecrets.In(builder.Configuration["data"] ?? DevelopmentSecrets.DefaultDataFolder);
        builder.Configuration["DevelopmentKey"] = secrets.ApiKey;
        return secrets;
    }

    /// <summary>Two tenants to play with, and the key to play with.</summary>
    public static IResourceBuilder<ProjectResource> WithSeed(this IResourceBuilder<ProjectResource> project, DevelopmentSecrets? secrets) => secrets is null
        ? project
        : project.WithEnvironment("Seed__Enabled", "true").WithEnvironment("Seed__DevelopmentKey", secrets.ApiKey);

    /// <summary>Published, the tombstones have no default: they belong on a disk that all processes share, and no erasure works without.</summary>
    public static IResourceBuilder<ProjectResource> WithMasterKey(this IResourceBuilder<ProjectResource> project, DevelopmentSecrets? secrets) => secrets is null
        ? project.WithEnvironment("Encryption__MasterKeyFile", "/run/secrets/aiaspire-master-key")
        : project
            .WithEnvironment("Encryption__MasterKeyFile", secrets.MasterKeyFile)
            .WithEnvironment("Encryption__TombstonesPath", secrets.TombstonesFile);

    /// <summary>Mail goes to files in the data folder unless an SMTP server is set.</summary>
    public static IResourceBuilder<ProjectResource> WithMailFolder(this IResourceBuilder<ProjectResource> project, DevelopmentSecrets? secrets) => secrets is null
        ? project
        : project.WithEnvironment("Notifications__Mail__PickupFolder", secrets.MailFolder);

    /// <summary>Makes the AppHost an issuer of tokens.</summary>
    public static IResourceBuilder<ProjectResource> WithDevelopmentIssuer(this IResourceBuilder<ProjectResource> project, DevelopmentSecrets? secrets) => secrets is null
        ? project
        : project
            .WithEnvironment("Identity__DevelopmentIssuer__PublicKey", secrets.IssuerPublicKey)
            .WithEnvironment("Identity__DevelopmentIssuer__Issuer", TokenVerb.Issuer)
            .WithEnvironment("Identity__DevelopmentIssuer__Audience", TokenVerb.Audience);

    public static IResourceBuilder<ProjectResource> WithEvaluatorKey(
        this IResourceBuilder<ProjectResource> project, DevelopmentSecrets? secrets, string setting = "Evaluator__ApiKey") => secrets is null
        ? project
        : project.WithEnvironment(setting, secrets.ApiKey);
}
