using AiAspire.Core.Data;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Options;

namespace AiAspire.Core.Audit;

public static class AuditRegistration
{
    private const string SigningKeyName = "audit-signing.pem";
    private const string HeadsName = "audit-heads.jsonl";

    /// <summary>Verification, security events and the signing of heads. The content database is the host's to bring.</summary>
    public static IServiceCollection AddAudit(this IServiceCollection services)
    {
        services.AddOptions<AuditOptions>()
            .BindConfiguration(AuditOptions.Section, binder => binder.ErrorOnUnknownConfiguration = true)
            .ValidateDataAnnotations()
            .Validate<IServiceProvider>((o, provider) => IsNamed(o.SigningKeyFile, provider), Unnamed(nameof(AuditOptions.SigningKeyFile)))
            .Validate<IServiceProvider>((o, provider) => IsNamed(o.HeadsPath, provider), Unnamed(nameof(AuditOptions.HeadsPath)))
            .ValidateOnStart();
        services.AddSingleton(provider => provider.GetRequiredService<IOptions<AuditOptions>>().Value is { SigningKeyFile: { } named }
            ? HeadSigningKey.FromFile(named, create: false)
            : HeadSigningKey.FromFile(BesideMasterKey(provider, SigningKeyName, nameof(AuditOptions.SigningKeyFile)), create: true));
        services.AddSingleton(provider => new HeadsFile(
            provider.GetRequiredService<IOptions<AuditOptions>>().Value.HeadsPath ?? BesideMasterKey(provider, HeadsName, nameof(AuditOptions.HeadsPath))));
        services.AddSingleton<AuditReader>();
        services.AddSingleton(provider => new AuditVerifier(
            provider.GetRequiredService<AuditReader>(),
            provider.GetRequiredService<HeadsFile>(),
            provider.GetRequiredService<HeadSigningKey>(),
            provider.GetRequiredService<TimeProvider>()));
        services.AddSingleton<SecurityEvents>().AddHostedService(provider => provider.GetRequiredService<SecurityEvents>());
        services.AddSingleton<HeadExporter>().AddHostedService(provider => provider.GetRequiredService<HeadExporter>());
        return services.AddChangeSubscription(HeadExporter.Topic, provider => provider.GetRequiredService<HeadExporter>().WakeAsync);
    }

    private static bool IsNamed(string? path, IServiceProvider provider)
        => provider.GetService<IHostEnvironment>()?.IsProduction() != true || Path.IsPathFullyQualified(path ?? "");

    private static string Unnamed(string setting)
        => $"{AuditOptions.Section}:{setting} must name a file by its whole path in production, on storage that outlives the process and that database administrators cannot write.";

    /// <summary>Where the master key lies is neither in the database nor in its backups, which is what both files need.</summary>
    private static string BesideMasterKey(IServiceProvider provider, string name, string setting)
        => Path.GetDirectoryName(provider.GetRequiredService<IConfiguration>()["Encryption:MasterKeyFile"]) is { Length: > 0 } folder
            ? Path.Combine(folder, name)
            : throw new InvalidOperationException($"Set {AuditOptions.Section}:{setting}: without Encryption:MasterKeyFile there is no folder to keep it in.");
}
