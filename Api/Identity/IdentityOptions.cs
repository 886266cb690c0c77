using System.ComponentModel.DataAnnotations;

namespace AiAspire.Api.Identity;

/// <summary>Section <c>Identity</c>. Tokens come from an OIDC authority, or, in development, from the AppHost's own issuer.</summary>
public sealed class IdentityOptions : IValidatableObject
{
    public const string Section = "Identity";

    /// <summary>The OIDC issuer, by HTTPS outside this machine; its keys are found by discovery.</summary>
    public string? Authority { get; init; }

    public string? Audience { get; init; }

    /// <summary>The claim that names the tenant; exactly one non-empty string.</summary>
    [Required]
    public string TenantClaim { get; init; } = "tenant_id";

    [Required]
    public string RolesClaim { get; init; } = "roles";

    /// <summary>Accepted <c>typ</c> headers (RFC 8725 §3.11); access tokens by RFC 9068 are <c>at+jwt</c>.</summary>
    public string[] TokenTypes { get; init; } = ["at+jwt", "JWT"];

    public DevelopmentIssuerOptions? DevelopmentIssuer { get; init; }

    public IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
    {
        if (Authority is not null && string.IsNullOrEmpty(Audience))
            yield return new ValidationResult("Identity:Audience is needed with Identity:Authority: without it, tokens for other services would be accepted.", [nameof(Audience)]);
        if (Authority is not null && !(Uri.TryCreate(Authority, UriKind.Absolute, out var address) && (address.Scheme == Uri.UriSchemeHttps || address.IsLoopback)))
            yield return new ValidationResult("Identity:Authority must be an https address: whoever changes its answer on the way signs tokens for every tenant.", [nameof(Authority)]);
        if (Authority is not null && DevelopmentIssuer is not null)
            yield return new ValidationResult("Set Identity:Authority or Identity:DevelopmentIssuer, not both.", [nameof(DevelopmentIssuer)]);
    }
}

public sealed class DevelopmentIssuerOptions
{
    [Required]
    public string Issuer { get; init; } = "";

    [Required]
    public string Audience { get; init; } = "";

    /// <summary>The issuer's ES256 public key: SubjectPublicKeyInfo as base64 DER.</summary>
    [Required]
    public string PublicKey { get; init; } = "";
}
