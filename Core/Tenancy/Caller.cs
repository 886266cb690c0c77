using AiAspire.Core.Data;

namespace AiAspire.Core.Tenancy;

/// <summary>Who a call is for: always a user of a tenant, with what their tier and their tenant's plan allow.</summary>
public sealed record Caller
{
    public required Guid TenantId { get; init; }

    public required string TenantSlug { get; init; }

    public required Guid UserId { get; init; }

    /// <summary>Stands for the user in the ledger.</summary>
    public required Guid Pseudonym { get; init; }

    public required string ExternalUserId { get; init; }

    public required Entitlements Entitlements { get; init; }

    public required IReadOnlyList<string> Roles { get; init; }

    /// <summary>The key that was shown; null for a token or a call of our own.</summary>
    public Guid? ApiKeyId { get; init; }

    public bool IsInRole(string role) => Roles.Contains(role, StringComparer.Ordinal);

    public TenantScope Scope => new(TenantId, UserId);
}

/// <summary>What a user's tier and the tenant's plan allow together.</summary>
/// <param name="Tier">The tier's name.</param>
/// <param name="Models">Model ids or aliases; <c>*</c> ends a prefix.</param>
/// <param name="Features">Feature names; <c>*</c> ends a prefix.</param>
/// <param name="UserTokensPerDay">Tokens of the user in a UTC day; null: unlimited.</param>
/// <param name="TenantTokensPerDay">Tokens of all the tenant's users in a UTC day; null: unlimited.</param>
/// <param name="TenantTokensPerMinute">Tokens of all the tenant's users in a minute; null: unlimited.</param>
/// <param name="DefaultMaxOutputTokens">The output cap when the caller names none.</param>
public sealed record Entitlements(
    string Tier,
    IReadOnlyList<string> Models,
    IReadOnlyList<string> Features,
    long? UserTokensPerDay,
    long? TenantTokensPerDay,
    long? TenantTokensPerMinute,
    int DefaultMaxOutputTokens)
{
    public bool AllowsModel(string name) => Matches(Models, name);

    public bool AllowsFeature(string name) => Matches(Features, name);

    private static bool Matches(IReadOnlyList<string> patterns, string name)
    {
        foreach (var pattern in patterns)
        {
            if (pattern.EndsWith('*')
                    ? name.StartsWith(pattern.AsSpan(0, pattern.Length - 1), StringComparison.OrdinalIgnoreCase)
                    : string.Equals(pattern, name, StringComparison.OrdinalIgnoreCase))
                return true;
        }

        return false;
    }
}

/// <summary>The caller could not be identified (401) or may not act (403).</summary>
/// <param name="code">A stable word for programs.</param>
/// <param name="message">For people; never repeats a credential.</param>
public sealed class IdentityException(string code, string message, bool forbidden = false) : Exception(message)
{
    /// <summary>The code for a user who was erased, for good (410).</summary>
    public const string UserErased = "user_erased";

    public string Code { get; } = code;

    /// <summary>True: known, but not allowed (403). False: not identified (401).</summary>
    public bool Forbidden { get; } = forbidden;
}
