using System.Security.Cryptography;
using AiAspire.Core.Data;
using AiAspire.Core.Tenancy;
using AiAspire.Core.Wire;
using AiAspire.ServiceDefaults;
using Microsoft.AspNetCore.Authentication;
using Microsoft.AspNetCore.Authentication.JwtBearer;
using Microsoft.AspNetCore.Authorization;
using Microsoft.Extensions.Options;
using Microsoft.IdentityModel.JsonWebTokens;
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
            .Configure<IOptions<IdentityOptions>, AuthorityKeys>((jwt, identity, keys) => Configure(jwt, identity.Value, keys));
        services.AddHttpClient(AuthorityKeys.HttpClient).WithoutStandardResilience();
        services.AddSingleton<AuthorityKeys>();
        services.AddHostedService(provider => provider.GetRequiredService<AuthorityKeys>());
        services.AddAuthorizationBuilder()
            .AddPolicy(Policies.User, policy => policy.RequireAuthenticatedUser())
            .AddPolicy(Policies.Operator, policy => policy.RequireRole(Roles.Operator))
            .AddPolicy(Policies.TenantAdmin, policy => policy.RequireRole(Roles.TenantAdmin, Roles.Operator))
            .AddPolicy(Policies.Auditor, policy => policy.RequireRole(Roles.Auditor))
            .SetFallbackPolicy(new AuthorizationPolicyBuilder().RequireAuthenticatedUser().Build());
    }

    /// <summary>RFC 8725: a fixed list of algorithms, keys only from the configured issuer, issuer, audience, times and type checked.</summary>
    private static void Configure(JwtBearerOptions jwt, IdentityOptions identity, AuthorityKeys keys)
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
            // Issuer and keys are what the authority says of itself.
            jwt.ConfigurationManager = keys;
            jwt.RefreshOnIssuerKeyNotFound = false;
            jwt.TokenValidationParameters.ValidAudience = identity.Audience;
        }
        else if (identity.DevelopmentIssuer is { } development)
        {
            jwt.TokenValidationParameters.ValidIssuer = development.Issuer;
            jwt.TokenValidationParameters.ValidAudience = development.Audience;
            jwt.TokenValidationParameters.IssuerSigningKey = PublicKey(development.PublicKey);
        }

        jwt.Events = new JwtBearerEvents
        {
            OnMessageReceived = context => identity.Authority is not null && Bearer.TokenOf(context.Request) is { } token
                ? keys.EnsureKeyOfAsync(token, context.HttpContext.RequestAborted)
                : Task.CompletedTask,
            OnTokenValidated = context => EstablishAsync(context, identity),
            // A refusal of our own, thrown while the caller is established, is written down where it is answered; what we cannot check
            // or the caller does not wait for is no failed login.
            OnAuthenticationFailed = context => context.Exception is IdentityException or WireException or OperationCanceledException
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
        // From the payload itself: among the claims of the principal, an array of one looks like its element.
        if (!((JsonWebToken)context.SecurityToken).TryGetPayloadValue<object>(identity.TenantClaim, out var named) || named is not string tenant || string.IsNullOrWhiteSpace(tenant))
            throw new IdentityException("invalid_token", $"The token needs exactly one claim '{identity.TenantClaim}', a string that names its tenant.");
        var subject = token.FindFirst("sub")?.Value;
        if (string.IsNullOrWhiteSpace(subject))
            throw new IdentityException("invalid_token", "The token has no subject (sub).");
        var directory = context.HttpContext.RequestServices.GetRequiredService<CallerDirectory>();
        var caller = await directory.FromTokenAsync(
            tenant, subject, [.. token.FindAll(identity.RolesClaim).Select(c => c.Value).Order(StringComparer.Ordinal)], context.HttpContext.RequestAborted);
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
        SecurityTokenSignatureKeyNotFoundException => "The token's issuer publishes no key that signed it.",
        SecurityTokenInvalidTypeException => "The token's type (typ) is not accepted.",
        _ => "The token is not valid.",
    };
}
