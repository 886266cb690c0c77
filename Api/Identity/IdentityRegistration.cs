using System.Security.Cryptography;
using AiAspire.Core.Data;
using AiAspire.Core.Tenancy;
using Microsoft.AspNetCore.Authentication;
using Microsoft.AspNetCore.Authentication.JwtBearer;
using Microsoft.AspNetCore.Authorization;
using Microsoft.Extensions.Options;
using Microsoft.IdentityModel.Tokens;

namespace AiAspire.Api.Identity;

/// <summary>Names of the authorization policies; every endpoint has one, and without naming any it is <see cref="User"/>.</summary>
public static class Policies
{
    public const string User = "user";
    public const string Operator = "operator";
    public const string TenantAdmin = "tenant_admin";
    public const string Auditor = "auditor";
}

internal static class IdentityRegistration
{
    private const string SelectingScheme = "Bearer credential";

    public static void AddIdentity(this IServiceCollection services)
    {
        services.AddOptions<IdentityOptions>()
            .BindConfiguration(IdentityOptions.Section, binder => binder.ErrorOnUnknownConfiguration = true)
            .ValidateDataAnnotations()
            .ValidateOnStart();
        services.AddScoped<RequestCaller>();
        services.AddScoped(provider => provider.GetRequiredService<TenantSessions>().Open(provider.GetRequiredService<RequestCaller>().Value.Scope));
        services.AddAuthentication(SelectingScheme)
            .AddPolicyScheme(SelectingScheme, null, options => options.ForwardDefaultSelector = static http =>
                Bearer.TokenOf(http.Request) is { } token && !token.StartsWith(ApiKeyFormat.Prefix, StringComparison.Ordinal)
                    ? JwtBearerDefaults.AuthenticationScheme
                    : ApiKeyHandler.SchemeName)
            .AddScheme<AuthenticationSchemeOptions, ApiKeyHandler>(ApiKeyHandler.SchemeName, null)
            .AddJwtBearer();
        services.AddOptions<JwtBearerOptions>(JwtBearerDefaults.AuthenticationScheme)
            .Configure<IOptions<IdentityOptions>>((jwt, identity) => Configure(jwt, identity.Value));
        services.AddAuthorizationBuilder()
            .AddPolicy(Policies.User, policy => policy.RequireAuthenticatedUser())
            .AddPolicy(Policies.Operator, policy => policy.RequireRole(Roles.Operator))
            .AddPolicy(Policies.TenantAdmin, policy => policy.RequireRole(Roles.TenantAdmin, Roles.Operator))
            .AddPolicy(Policies.Auditor, policy => policy.RequireRole(Roles.Auditor))
            .SetFallbackPolicy(new AuthorizationPolicyBuilder().RequireAuthenticatedUser().Build());
    }

    /// <summary>RFC 8725: a fixed list of algorithms, keys only from the configured issuer, issuer, audience, times and type checked.</summary>
    private static void Configure(JwtBearerOptions jwt, IdentityOptions identity)
    {
        jwt.MapInboundClaims = false;
        jwt.TokenValidationParameters = new TokenValidationParameters
        {
            ValidAlgorithms = [SecurityAlgorithms.EcdsaSha256, SecurityAlgorithms.RsaSha256],
            ValidTypes = identity.TokenTypes,
            ValidateIssuer = true,
            ValidateAudience = true,
            RequireExpirationTime = true,
            RequireSignedTokens = true,
            ClockSkew = TimeSpan.FromSeconds(30),
        };
        if (identity.Authority is not null)
        {
            jwt.Authority = identity.Authority;
            jwt.TokenValidationParameters.ValidAudience = identity.Audience;
            jwt.RefreshOnIssuerKeyNotFound = true;
        }
        else if (identity.DevelopmentIssuer is { } development)
        {
            jwt.TokenValidationParameters.ValidIssuer = development.Issuer;
            jwt.TokenValidationParameters.ValidAudience = development.Audience;
            jwt.TokenValidationParameters.IssuerSigningKey = PublicKey(development.PublicKey);
        }

        jwt.Events = new JwtBearerEvents
        {
            OnTokenValidated = context => EstablishAsync(context, identity),
            // A refusal of our own, thrown while the caller is established, is written down where it is answered.
            OnAuthenticationFailed = context => context.Exception is IdentityException
                ? Task.CompletedTask
                : CallerAudit.LoginFailedAsync(context.HttpContext, "invalid_token"),
            OnChallenge = async context =>
            {
                context.HandleResponse();
                await Bearer.ChallengeAsync(context.HttpContext, "invalid_token", Explain(context.AuthenticateFailure));
            },
            OnForbidden = context => Bearer.ForbidAsync(context.HttpContext),
        };
    }

    private static async Task EstablishAsync(TokenValidatedContext context, IdentityOptions identity)
    {
        var token = context.Principal!;
        var tenants = token.FindAll(identity.TenantClaim).Select(c => c.Value).ToList();
        if (tenants.Count != 1 || string.IsNullOrWhiteSpace(tenants[0]))
            throw new IdentityException("invalid_token", $"The token needs exactly one claim '{identity.TenantClaim}' that names its tenant.");
        var subject = token.FindFirst("sub")?.Value;
        if (string.IsNullOrWhiteSpace(subject))
            throw new IdentityException("invalid_token", "The token has no subject (sub).");
        var directory = context.HttpContext.RequestServices.GetRequiredService<CallerDirectory>();
        var caller = await directory.FromTokenAsync(
            tenants[0], subject, [.. token.FindAll(identity.RolesClaim).Select(c => c.Value).Order(StringComparer.Ordinal)], context.HttpContext.RequestAborted);
        context.Principal = await CallerClaims.EstablishAsync(context.HttpContext, caller, JwtBearerDefaults.AuthenticationScheme);
    }

    private static ECDsaSecurityKey PublicKey(string spki)
    {
        var key = ECDsa.Create();
        key.ImportSubjectPublicKeyInfo(Convert.FromBase64String(spki), out _);
        return new ECDsaSecurityKey(key);
    }

    private static string Explain(Exception? failure) => failure switch
    {
        SecurityTokenExpiredException => "The token has expired. Get a new one from your identity provider.",
        SecurityTokenNotYetValidException => "The token is not valid yet.",
        SecurityTokenInvalidAudienceException => "The token is meant for another audience.",
        SecurityTokenInvalidIssuerException => "The token comes from an issuer that is not accepted here.",
        SecurityTokenInvalidAlgorithmException => "The token's algorithm is not accepted; use ES256 or RS256.",
        SecurityTokenInvalidTypeException => "The token's type (typ) is not accepted.",
        _ => "The token is not valid.",
    };
}
