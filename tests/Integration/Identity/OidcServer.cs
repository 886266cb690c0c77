using System.Security.Claims;
using System.Security.Cryptography;
using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Microsoft.IdentityModel.JsonWebTokens;
using Microsoft.IdentityModel.Tokens;
using OpenIddict.Abstractions;
using OpenIddict.Server;
using static OpenIddict.Server.OpenIddictServerEvents;

namespace AiAspire.Integration.Identity;

/// <summary>
/// A real OpenID Connect server (OpenIddict) on the loopback: discovery, key set and token endpoint over HTTP. Its keys can be changed
/// while it serves, and it can be made to drop every connection.
/// </summary>
internal sealed class OidcServer : IAsyncDisposable
{
    public const string Audience = "aiaspire";
    public const string TenantClaim = "org";

    private readonly WebApplication _app;
    private readonly Lock _lock = new();
    private List<SigningCredentials> _keys = [EcKey()];
    private int _keySetReads;

    private OidcServer()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        builder.Services.AddHttpClient();
        builder.Services.AddAuthentication();
        builder.Services.AddOptions<OpenIddictServerOptions>().Configure(options => options.SigningCredentials.AddRange(Keys));
        builder.Services.AddOpenIddict().AddServer(server =>
        {
            server.EnableDegradedMode().DisableAccessTokenEncryption().AddEphemeralEncryptionKey();
            server.SetTokenEndpointUris("connect/token").AllowClientCredentialsFlow();
            server.UseAspNetCore().DisableTransportSecurityRequirement();
            server.AddEventHandler<ValidateTokenRequestContext>(handler => handler.UseInlineHandler(static _ => default));
            server.AddEventHandler<HandleTokenRequestContext>(handler => handler.UseInlineHandler(static context =>
            {
                context.SignIn(PrincipalOf(context.Request));
                return default;
            }));
        });
        _app = builder.Build();
        _app.Use(async (http, next) =>
        {
            if (IsDown)
            {
                http.Abort();
                return;
            }

            if (http.Request.Path.StartsWithSegments("/.well-known/jwks", StringComparison.Ordinal))
                Interlocked.Increment(ref _keySetReads);
            await next(http);
        });
        _app.UseAuthentication();
    }

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    /// <summary>True drops every connection without an answer.</summary>
    public bool IsDown { get; set; }

    /// <summary>How often the key set was asked for.</summary>
    public int KeySetReads => Volatile.Read(ref _keySetReads);

    public string Authority => _app.Urls.Single();

    /// <summary>Of an Api that takes its tokens.</summary>
    public IReadOnlyDictionary<string, string?> Settings => new Dictionary<string, string?>(StringComparer.Ordinal)
    {
        ["Identity:Authority"] = Authority,
        ["Identity:Audience"] = Audience,
        ["Identity:TenantClaim"] = TenantClaim,
    };

    /// <summary>As OpenIddict writes it: with a slash at the end.</summary>
    public string Issuer => Authority + "/";

    /// <summary>The first one signs; all are published.</summary>
    public IReadOnlyList<SigningCredentials> Keys
    {
        get
        {
            lock (_lock)
                return _keys;
        }
    }

    public static async Task<OidcServer> StartAsync()
    {
        var server = new OidcServer();
        await server._app.StartAsync(Cancelled);
        return server;
    }

    public static SigningCredentials EcKey() => new(
        new ECDsaSecurityKey(ECDsa.Create(ECCurve.NamedCurves.nistP256)) { KeyId = RandomNumberGenerator.GetHexString(16, lowercase: true) }, SecurityAlgorithms.EcdsaSha256);

    public static SigningCredentials RsaKey() => new(
        new RsaSecurityKey(RSA.Create(2048)) { KeyId = RandomNumberGenerator.GetHexString(16, lowercase: true) }, SecurityAlgorithms.RsaSha256);

    /// <summary>From now on signs with the first of these keys and publishes all, without a word to anyone.</summary>
    public void SetKeys(params IEnumerable<SigningCredentials> keys)
    {
        lock (_lock)
            _keys = [.. keys];
        _app.Services.GetRequiredService<IOptionsMonitorCache<OpenIddictServerOptions>>().TryRemove(Options.DefaultName);
    }

    /// <summary>Asks the token endpoint for an access token.</summary>
    public async Task<string> TokenAsync(string tenant, string user, string roles = "user")
    {
        using var client = _app.Services.GetRequiredService<IHttpClientFactory>().CreateClient();
        using var form = new FormUrlEncodedContent(new Dictionary<string, string>(StringComparer.Ordinal)
        {
            ["grant_type"] = "client_credentials",
            ["client_id"] = "test",
            ["client_secret"] = "test",
            ["tenant"] = tenant,
            ["user"] = user,
            ["roles"] = roles,
        });
        using var response = await client.PostAsync($"{Authority}/connect/token", form, Cancelled);
        var text = await response.Content.ReadAsStringAsync(Cancelled);
        Assert.True(response.IsSuccessStatusCode, text);
        return JsonElement.Parse(text).GetProperty("access_token").GetString()!;
    }

    /// <summary>A token as this server could have made it, but for what the test changes.</summary>
    public string Forge(SigningCredentials? key, Action<SecurityTokenDescriptor> change)
    {
        var now = TimeProvider.System.GetUtcNow().UtcDateTime;
        var token = new SecurityTokenDescriptor
        {
            Issuer = Issuer,
            Audience = Audience,
            TokenType = "at+jwt",
            SigningCredentials = key,
            NotBefore = now.AddMinutes(-1),
            Expires = now.AddMinutes(10),
            Claims = new Dictionary<string, object>(StringComparer.Ordinal) { ["sub"] = "alice", [TenantClaim] = "acme" },
        };
        change(token);
        return new JsonWebTokenHandler { SetDefaultTimesOnTokenCreation = false }.CreateToken(token);
    }

    public ValueTask DisposeAsync() => _app.DisposeAsync();

    private static ClaimsPrincipal PrincipalOf(OpenIddictRequest request)
    {
        var identity = new ClaimsIdentity("test", "sub", "roles");
        identity.AddClaim(new Claim("sub", (string?)request.GetParameter("user") ?? ""));
        identity.AddClaim(new Claim(TenantClaim, (string?)request.GetParameter("tenant") ?? ""));
        foreach (var role in ((string?)request.GetParameter("roles") ?? "").Split(' '))
            identity.AddClaim(new Claim("roles", role));
        var principal = new ClaimsPrincipal(identity);
        principal.SetResources(Audience);
        principal.SetDestinations(static _ => [OpenIddictConstants.Destinations.AccessToken]);
        return principal;
    }
}
