using System.Text.Encodings.Web;
using System.Text.Json;
using AiAspire.Core.Tenancy;
using Microsoft.AspNetCore.Authentication;
using Microsoft.Extensions.Options;

namespace AiAspire.Api.Identity;

/// <summary>Authenticates <c>Authorization: Bearer sk-…</c>, as OpenAI's SDKs send it.</summary>
internal sealed class ApiKeyHandler(
    IOptionsMonitor<AuthenticationSchemeOptions> options, ILoggerFactory logger, UrlEncoder encoder, CallerDirectory callers)
    : AuthenticationHandler<AuthenticationSchemeOptions>(options, logger, encoder)
{
    public const string SchemeName = "ApiKey";

    protected override async Task<AuthenticateResult> HandleAuthenticateAsync()
    {
        if (Bearer.TokenOf(Request) is not { } key)
            return AuthenticateResult.NoResult();
        var caller = await FindAsync(key);
        return AuthenticateResult.Success(new AuthenticationTicket(CallerClaims.Establish(Context, caller, SchemeName), SchemeName));
    }

    private async ValueTask<Caller> FindAsync(string key)
    {
        var named = Request.Headers[CallerClaims.UserHeader].ToString();
        try
        {
            return await callers.FromApiKeyAsync(key, named.Length > 0 ? named : null, Context.RequestAborted);
        }
        catch (IdentityException e) when (e.Code == "missing_user" && Request.HasJsonContentType())
        {
            return await callers.FromApiKeyAsync(key, await UserFieldAsync(), Context.RequestAborted);
        }
    }

    /// <summary>The wire's own <c>user</c> field, for SDKs that cannot set a header. Read only for a tenant's key without one.</summary>
    private async Task<string?> UserFieldAsync()
    {
        Request.EnableBuffering();
        try
        {
            using var body = await JsonDocument.ParseAsync(Request.Body, default, Context.RequestAborted);
            return body.RootElement.ValueKind == JsonValueKind.Object
                && body.RootElement.TryGetProperty("user", out var user)
                && user.ValueKind == JsonValueKind.String
                    ? user.GetString()
                    : null;
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            // The endpoint will say what is wrong with the body.
            return null;
        }
        finally
        {
            Request.Body.Position = 0;
        }
    }

    protected override Task HandleChallengeAsync(AuthenticationProperties properties) => Bearer.ChallengeAsync(Context);

    protected override Task HandleForbiddenAsync(AuthenticationProperties properties) => Bearer.ForbidAsync(Context);
}
