using AiAspire.Core.Data;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Npgsql;

namespace AiAspire.Core.Encryption;

public static class EncryptionRegistration
{
    /// <summary>The service key of the <see cref="NpgsqlDataSource"/> of the key store.</summary>
    public const string KeyStoreConnection = "keystore";

    private const string TombstonesUnnamed =
        "Encryption:TombstonesPath must name a file by its whole path in production, on storage that all processes share and that outlives them: without it nobody can be erased.";

    /// <summary>
    /// Keys and ciphers over the keyed data source <see cref="KeyStoreConnection"/>; the host does not become ready before tombstones
    /// are replayed. Operations on keys go into the audit log of the content database, the host's unkeyed data source.
    /// </summary>
    public static IServiceCollection AddContentEncryption(this IServiceCollection services)
    {
        services.AddTombstoneReplay();
        services.TryAddSingleton<MasterKeyUses>();
        services.TryAddSingleton<TenantKeys>();
        services.AddSingleton(provider => new UserKeys(
            KeyStore(provider),
            provider.GetRequiredService<TenantKeys>(),
            provider.GetRequiredService<TombstoneFile>(),
            provider.GetRequiredService<KeyAudit>(),
            provider.GetRequiredService<TimeProvider>(),
            provider.GetRequiredService<IOptions<EncryptionOptions>>()));
        services.AddSingleton(provider => new DataProtectionKeys(
            KeyStore(provider), provider.GetRequiredService<IMasterKey>(), provider.GetRequiredService<KeyAudit>(), provider.GetRequiredService<TimeProvider>()));
        services.AddSingleton(provider => new PlatformCipher(KeyStore(provider), provider.GetRequiredService<TenantKeys>()));
        services.AddSingleton(provider => new KeyRotation(
            KeyStore(provider),
            provider.GetRequiredService<IMasterKey>(),
            provider.GetRequiredService<MasterKeyUses>(),
            provider.GetRequiredService<TenantKeys>(),
            provider.GetRequiredService<DataProtectionKeys>(),
            provider.GetRequiredService<TombstoneFile>(),
            provider.GetRequiredService<KeyAudit>(),
            provider.GetRequiredService<IOptions<EncryptionOptions>>()));
        services.AddSingleton<IHostedService>(provider => new EncryptionStartup(
            provider.GetRequiredService<IMasterKey>(), provider.GetRequiredService<MasterKeyUses>(), provider.GetRequiredService<TombstoneReplay>(), KeyStore(provider)));
        services.AddSingleton<IHostedService>(provider => new KeyChanges(
            KeyStore(provider),
            provider.GetRequiredService<UserKeys>(),
            provider.GetRequiredService<TimeProvider>(),
            provider.GetRequiredService<ILogger<KeyChanges>>()));
        return services;
    }

    /// <summary>The master key and <see cref="TombstoneReplay"/> alone, for the process that sets up the key store.</summary>
    public static IServiceCollection AddTombstoneReplay(this IServiceCollection services)
    {
        services.AddTenantSessions();
        services.AddOptions<EncryptionOptions>()
            .BindConfiguration(EncryptionOptions.Section, binder => binder.ErrorOnUnknownConfiguration = true)
            .ValidateDataAnnotations()
            .Validate<IServiceProvider>(TombstonesAreNamed, TombstonesUnnamed)
            .ValidateOnStart();
        services.TryAddSingleton<KeyAudit>();
        // A redirect would carry the token to another server.
        services.AddHttpClient(VaultTransitMasterKey.ClientName)
            .ConfigurePrimaryHttpMessageHandler(() => new SocketsHttpHandler { AllowAutoRedirect = false });
        services.TryAddSingleton<IMasterKey>(provider =>
        {
            var options = provider.GetRequiredService<IOptions<EncryptionOptions>>().Value;
            return new MasterKeyRing(
                Current(options, provider),
                [
                    .. options.PreviousMasterKeyFiles.Select(LocalMasterKey.FromFile),
                    .. options.PreviousMasterKeys.Select((key, i) => LocalMasterKey.FromBase64(key, $"Encryption:PreviousMasterKeys:{i}")),
                ]);
        });
        services.TryAddSingleton<TombstoneFile>();
        services.TryAddSingleton(provider => new TombstoneReplay(
            provider.GetRequiredService<TombstoneFile>(), provider.GetRequiredService<KeyAudit>(), provider.GetRequiredService<ILogger<TombstoneReplay>>()));
        return services;
    }

    /// <summary>In production a file that everybody thinks is kept, and that lies in a container's own folder, is lost with it.</summary>
    private static bool TombstonesAreNamed(EncryptionOptions options, IServiceProvider provider)
        => provider.GetService<IHostEnvironment>()?.IsProduction() != true || Path.IsPathFullyQualified(options.TombstonesPath ?? "");

    private static IMasterKey Current(EncryptionOptions options, IServiceProvider provider) => options switch
    {
        { Vault: { } vault } => new VaultTransitMasterKey(provider.GetRequiredService<IHttpClientFactory>(), vault),
        { MasterKey: { Length: > 0 } key } => LocalMasterKey.FromBase64(key, "Encryption:MasterKey"),
        _ => LocalMasterKey.FromFile(options.MasterKeyFile!),
    };

    private static NpgsqlDataSource KeyStore(IServiceProvider provider) => provider.GetRequiredKeyedService<NpgsqlDataSource>(KeyStoreConnection);
}
