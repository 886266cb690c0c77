using System.ComponentModel.DataAnnotations;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;
using Npgsql;

namespace AiAspire.Core.Encryption;

/// <summary>Section <c>Encryption</c>. Exactly one of the two key sources must be set.</summary>
public sealed class EncryptionOptions : IValidatableObject
{
    public const string Section = "Encryption";

    /// <summary>A file with 32 bytes as base64, readable by its owner alone. For development.</summary>
    public string? MasterKeyFile { get; init; }

    /// <summary>32 bytes as base64, fed by a secret store (environment variable <c>Encryption__MasterKey</c>).</summary>
    public string? MasterKey { get; init; }

    /// <summary>Seconds a user's key stays in memory, and so the longest time a destroyed key still works on a replica. Default 60.</summary>
    [Range(0, 3600)]
    public int KeyCacheSeconds { get; init; } = 60;

    /// <summary>Keys kept in memory before expired ones are dropped. Default 100,000.</summary>
    [Range(1, 10_000_000)]
    public int KeyCacheEntries { get; init; } = 100_000;

    public IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
    {
        if (string.IsNullOrWhiteSpace(MasterKeyFile) == string.IsNullOrWhiteSpace(MasterKey))
            yield return new ValidationResult("Set exactly one of Encryption:MasterKeyFile and Encryption:MasterKey.", [nameof(MasterKey)]);
    }
}

public static class EncryptionRegistration
{
    /// <summary>The service key of the <see cref="NpgsqlDataSource"/> of the key store.</summary>
    public const string KeyStoreConnection = "keystore";

    public static IServiceCollection AddContentEncryption(this IServiceCollection services)
    {
        services.AddOptions<EncryptionOptions>()
            .BindConfiguration(EncryptionOptions.Section, binder => binder.ErrorOnUnknownConfiguration = true)
            .ValidateDataAnnotations()
            .ValidateOnStart();
        services.AddSingleton<IMasterKey>(provider =>
        {
            var options = provider.GetRequiredService<IOptions<EncryptionOptions>>().Value;
            return options.MasterKey is { Length: > 0 } key
                ? LocalMasterKey.FromBase64(key, "Encryption:MasterKey")
                : LocalMasterKey.FromFile(options.MasterKeyFile!);
        });
        services.AddSingleton(provider => ActivatorUtilities.CreateInstance<UserKeys>(
            provider, provider.GetRequiredKeyedService<NpgsqlDataSource>(KeyStoreConnection)));
        return services;
    }
}
