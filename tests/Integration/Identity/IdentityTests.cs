using System.Net;
using System.Net.Http.Json;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using AiAspire.AppHost;
using AiAspire.Core.Tenancy;
using AiAspire.Integration.Application;

namespace AiAspire.Integration.Identity;

[Collection(ApplicationCollection.Name)]
public sealed class IdentityTests(RunningApplication application)
{
    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    [Trait("Checklist", "AUTH-01")]
    public async Task A_token_names_its_tenant_and_user_and_is_served()
    {
        using var client = application.Client(application.Token("acme", "alice"));
        using var response = await client.ChatAsync("hello");
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        Assert.Equal("100000", response.Header("x-ratelimit-limit-tokens"));
    }

    [Fact]
    public async Task Without_a_credential_every_endpoint_answers_401()
    {
        using var client = application.Client(null);
        foreach (var path in new[] { "/v1/models", "/v1/conversations", $"/v1/jobs/{Guid.Empty}", "/v1/admin/kill-switches/service" })
        {
            using var response = await client.GetAsync(path, Cancelled);
            await response.ErrorAsync(HttpStatusCode.Unauthorized, "missing_credentials");
            Assert.Equal("Bearer", response.Headers.WwwAuthenticate.Single().Scheme);
        }
    }

    [Theory]
    [InlineData("sk-nobody")]
    [InlineData("sk-' OR '1'='1")]
    public async Task An_unknown_key_is_401_and_never_repeated(string key)
    {
        using var client = application.Client(null);
        client.DefaultRequestHeaders.TryAddWithoutValidation("Authorization", $"Bearer {key}");
        using var response = await client.ChatAsync("hello");
        var error = await response.ErrorAsync(HttpStatusCode.Unauthorized, "invalid_api_key");
        Assert.DoesNotContain(key, error.GetRawText(), StringComparison.Ordinal);
    }

    public static TheoryData<string, string> ForgedTokens => new()
    {
        { "expired", "expired" },
        { "not yet valid", "notyet" },
        { "another issuer", "issuer" },
        { "another audience", "audience" },
        { "another key", "key" },
        { "another type", "type" },
        { "algorithm none", "none" },
        { "algorithm HS256 with the public key as secret", "hs256" },
        { "no tenant", "no-tenant" },
        { "two tenants", "two-tenants" },
        { "an unknown tenant", "unknown-tenant" },
        { "the platform tenant", "platform" },
        { "no expiry", "no-expiry" },
        { "no subject", "no-subject" },
    };

    [Theory]
    [MemberData(nameof(ForgedTokens))]
    [Trait("Checklist", "AUTH-01")]
    [Trait("Checklist", "AUTH-02")]
    public async Task A_wrong_token_is_401(string what, string fault)
    {
        using var client = application.Client(Forge(fault));
        using var response = await client.GetAsync("/v1/models", Cancelled);
        Assert.True(response.StatusCode == HttpStatusCode.Unauthorized, $"{what}: {response.StatusCode}");
        await response.ErrorAsync(HttpStatusCode.Unauthorized);
    }

    [Theory]
    [InlineData("acme", HttpStatusCode.OK)]
    [InlineData("globex", HttpStatusCode.Forbidden)]
    [InlineData("", HttpStatusCode.Forbidden)]
    [Trait("Checklist", "AUTH-02")]
    public async Task X_Tenant_Id_must_agree_with_the_credential(string named, HttpStatusCode expected)
    {
        foreach (var credential in new[] { application.DeveloperKey, application.Token("acme", "alice") })
        {
            using var client = application.Client(credential);
            client.DefaultRequestHeaders.TryAddWithoutValidation("X-Tenant-Id", named);
            using var response = await client.GetAsync("/v1/models", Cancelled);
            Assert.Equal(expected, response.StatusCode);
        }
    }

    [Fact]
    public async Task A_tenants_key_acts_for_the_user_it_names_and_needs_one()
    {
        using var client = application.Client(application.TenantKey("globex"));
        using var nobody = await client.ChatAsync("hello");
        await nobody.ErrorAsync(HttpStatusCode.Forbidden, "missing_user");
        using var byField = await client.PostAsJsonAsync(
            "/v1/chat/completions", new { model = "sim-large", user = "erin", messages = new[] { new { role = "user", content = "say exactly: by field" } } }, Cancelled);
        Assert.Equal("by field", (await byField.JsonAsync()).Content());
        // The user made on first sight is the same one when the header names it.
        client.DefaultRequestHeaders.Add("X-AiAspire-User", "erin");
        var conversations = await client.GetFromJsonAsync<JsonElement>("/v1/conversations", Cancelled);
        Assert.Single(conversations.GetProperty("data").EnumerateArray());
    }

    [Fact]
    public async Task Expired_and_revoked_keys_are_refused()
    {
        await using var database = await application.OpenSuperuserAsync();
        foreach (var (column, word) in new[] { ("expires_at", "expired"), ("revoked_at", "revoked") })
        {
            var key = ApiKeyFormat.Create();
            await database.ExecuteAsync(
                $"""
                INSERT INTO aiaspire.api_keys (tenant_id, api_key_id, user_id, name, hash, prefix, scopes, created_at, {column})
                SELECT tenant_id, gen_random_uuid(), user_id, 'test', $1, $2, ARRAY[]::text[], now(), now() - interval '1 minute'
                FROM aiaspire.users WHERE external_id = 'alice'
                """,
                ApiKeyFormat.Hash(key),
                ApiKeyFormat.Shown(key));
            using var client = application.Client(key);
            using var response = await client.ChatAsync("hello");
            var error = await response.ErrorAsync(HttpStatusCode.Unauthorized, "invalid_api_key");
            Assert.Contains(word, error.GetProperty("message").GetString(), StringComparison.Ordinal);
        }
    }

    [Fact]
    [Trait("Checklist", "ARCH-02")]
    public async Task The_kill_switch_stops_all_calls_and_only_an_operator_turns_it()
    {
        using var alice = application.Client(application.Token("acme", "alice"));
        using var refused = await alice.PutAsJsonAsync("/v1/admin/kill-switches/service", new { engaged = true }, Cancelled);
        await refused.ErrorAsync(HttpStatusCode.Forbidden, "insufficient_role");

        using var developer = application.Developer();
        using var off = await developer.PutAsJsonAsync(
            "/v1/admin/kill-switches/service", new { engaged = true, reason = "a drill", until = TimeProvider.System.GetUtcNow().AddMinutes(5) }, Cancelled);
        try
        {
            Assert.Equal(HttpStatusCode.OK, off.StatusCode);
            using var stopped = await alice.ChatAsync("hello");
            var error = await stopped.ErrorAsync(HttpStatusCode.ServiceUnavailable, "service_disabled");
            Assert.Contains("a drill", error.GetProperty("message").GetString(), StringComparison.Ordinal);
            Assert.True(stopped.Headers.RetryAfter?.Delta > TimeSpan.FromMinutes(4));
        }
        finally
        {
            using var on = await developer.PutAsJsonAsync("/v1/admin/kill-switches/service", new { engaged = false }, Cancelled);
        }

        using var served = await alice.ChatAsync("hello");
        Assert.Equal(HttpStatusCode.OK, served.StatusCode);
    }

    private string Forge(string fault)
    {
        using var issuer = DevelopmentSecrets.In(application.App.DataFolder).IssuerKey();
        using var other = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var now = TimeProvider.System.GetUtcNow().ToUnixTimeSeconds();
        var header = new Dictionary<string, object> { ["alg"] = fault switch { "none" => "none", "hs256" => "HS256", _ => "ES256" }, ["typ"] = fault == "type" ? "secevent+jwt" : "at+jwt" };
        var claims = new Dictionary<string, object>
        {
            ["iss"] = fault == "issuer" ? "https://elsewhere.example" : TokenVerb.Issuer,
            ["aud"] = fault == "audience" ? "another" : TokenVerb.Audience,
            ["sub"] = "alice",
            ["tenant_id"] = fault switch { "unknown-tenant" => "nobody", "platform" => "platform", "two-tenants" => new[] { "acme", "globex" }, _ => "acme" },
            ["nbf"] = fault == "notyet" ? now + 3600 : now - 10,
            ["exp"] = fault == "expired" ? now - 600 : now + 7200,
        };
        if (fault == "no-tenant")
            claims.Remove("tenant_id");
        if (fault == "no-expiry")
            claims.Remove("exp");
        if (fault == "no-subject")
            claims.Remove("sub");
        var signed = $"{Part(header)}.{Part(claims)}";
        var bytes = Encoding.ASCII.GetBytes(signed);
        var signature = fault switch
        {
            "none" => [],
            "hs256" => HMACSHA256.HashData(issuer.ExportSubjectPublicKeyInfo(), bytes),
            "key" => other.SignData(bytes, HashAlgorithmName.SHA256),
            _ => issuer.SignData(bytes, HashAlgorithmName.SHA256),
        };
        return $"{signed}.{DevelopmentSecrets.Base64Url(signature)}";
    }

    private static string Part(object json) => DevelopmentSecrets.Base64Url(JsonSerializer.SerializeToUtf8Bytes(json));
}
