using System.ComponentModel.DataAnnotations;

namespace AiAspire.Core.Encryption;

/// <summary>Section <c>Encryption</c>. Exactly one of the three sources of the master key must be set.</summary>
public sealed class EncryptionOptions : IValidatableObject
{
    public const string Section = "Encryption";

    /// <summary>A file with 32 bytes as base64, readable by its owner alone. For development.</summary>
    public string? MasterKeyFile { get; init; }

    /// <summary>32 bytes as base64, fed by a secret store (environment variable <c>Encryption__MasterKey</c>).</summary>
    public string? MasterKey { get; init; }

    /// <summary>A key management system: HashiCorp Vault's transit engine.</summary>
    public VaultTransitOptions? Vault { get; init; }

    /// <summary>Files of earlier master keys, which still unwrap but wrap nothing, until <see cref="KeyRotation.RewrapAsync"/> has run.</summary>
    public IReadOnlyList<string> PreviousMasterKeyFiles { get; init; } = [];

    /// <summary>The same as base64.</summary>
    public IReadOnlyList<string> PreviousMasterKeys { get; init; } = [];

    /// <summary>
    /// Seconds a user's key stays in memory: the longest time a destroyed key still works on a replica that cannot be told. The same on
    /// all replicas. Default 60.
    /// </summary>
    [Range(0, 3600)]
    public int KeyCacheSeconds { get; init; } = 60;

    /// <summary>Keys kept in memory before expired ones are dropped. Default 100,000.</summary>
    [Range(1, 10_000_000)]
    public int KeyCacheEntries { get; init; } = 100_000;

    /// <summary>
    /// The file that keeps the tombstones of destroyed keys apart from the key store: on a disk that all processes share and that a
    /// restore of the key store does not touch. Without it nobody can be erased.
    /// </summary>
    public string? TombstonesPath { get; init; }

    public IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
    {
        var sources = (string.IsNullOrWhiteSpace(MasterKeyFile) ? 0 : 1) + (string.IsNullOrWhiteSpace(MasterKey) ? 0 : 1) + (Vault is null ? 0 : 1);
        if (sources != 1)
            yield return new ValidationResult($"Set exactly one of Encryption:MasterKeyFile, Encryption:MasterKey and Encryption:Vault; {sources} are set.", [nameof(MasterKey)]);
        foreach (var result in Vault?.Validate() ?? [])
            yield return result;
    }
}
