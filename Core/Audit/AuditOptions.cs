using System.ComponentModel.DataAnnotations;

namespace AiAspire.Core.Audit;

/// <summary>Section <c>Audit</c>.</summary>
public sealed class AuditOptions
{
    public const string Section = "Audit";

    /// <summary>
    /// PEM (PKCS#8) of the ECDSA P-256 key that signs heads. Default: <c>audit-signing.pem</c> beside the master key file, made on
    /// first use; one that is named here must exist. In production it must be named, by its whole path.
    /// </summary>
    public string? SigningKeyFile { get; init; }

    /// <summary>JSON Lines file of signed heads, outside the database's storage. Default: <c>audit-heads.jsonl</c> beside the master key file. In production it must be named, by its whole path.</summary>
    public string? HeadsPath { get; init; }

    /// <summary>
    /// Signs chains anew whose signed heads are missing in the file. For one start after the file was lost for good, and only when the chains
    /// were held against another copy: what was changed in them before is signed as if it were true.
    /// </summary>
    public bool AcceptMissingHeads { get; init; }

    /// <summary>Seconds after which a chain that has grown gets a new signed head at the latest. Default 5; a chain that grows by 64 entries gets one at once.</summary>
    [Range(1, 3600)]
    public int HeadIntervalSeconds { get; init; } = 5;

    /// <summary>Refused credentials and tenant crossings that one source (address or user) may write into a chain in a minute; more are only counted. Default 10.</summary>
    [Range(1, 10_000)]
    public int EventsPerSourceAndMinute { get; init; } = 10;

    /// <summary>The same for all sources together, per process and chain. Default 120.</summary>
    [Range(1, 100_000)]
    public int EventsPerMinute { get; init; } = 120;
}
