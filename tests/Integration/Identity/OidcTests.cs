using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net;
using System.Text;
using AiAspire.Integration.Application;
using Microsoft.IdentityModel.Tokens;

namespace AiAspire.Integration.Identity;

/// <summary>An authority and an Api that takes its tokens.</summary>
public sealed class OidcFixture(RunningApplication application) : IAsyncLifetime
{
    private OidcServer? _authority;
    private InProcessApi? _api;

    internal RunningApplication Application => application;

    internal OidcServer Authority => _authority!;

    internal InProcessApi Api => _api!;

    public async ValueTask InitializeAsync()
    {
        _authority = await OidcServer.StartAsync();
        _api = await InProcessApi.CreateAsync(application, _authority.Settings);
    }

    public async ValueTask DisposeAsync()
    {
        if (_api is not null)
            await _api.DisposeAsync();
        if (_authority is not null)
            await _authority.DisposeAsync();
    }
}

[Collection(ApplicationCollection.Name)]
[Trait("Checklist", "AUTH-01")]
public sealed class OidcTests(OidcFixture oidc) : IClassFixture<OidcFixture>
{
    /// <summary>From one reading of the authority's keys to the next, as the Api has it.</summary>
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(2);

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    [Trait("Checklist", "AUTH-02")]
    public async Task A_token_of_the_authority_is_served_for_its_tenant_alone_whether_by_ES256_or_RS256()
    {
        foreach (var key in new[] { OidcServer.EcKey(), OidcServer.RsaKey() })
        {
            oidc.Authority.SetKeys([key, .. oidc.Authority.Keys]);
            using var client = oidc.Api.Client(await oidc.Authority.TokenAsync("acme", "alice", "user auditor"));
            Assert.Equal(HttpStatusCode.OK, await AskAsync(client));
            // Roles of the token hold.
            Assert.Equal(HttpStatusCode.OK, await AskAsync(client, "/v1/audit?limit=1"));
            Assert.Equal(HttpStatusCode.Forbidden, await AskAsync(client, "/v1/admin/users"));
            client.DefaultRequestHeaders.Add("X-Tenant-Id", "acme");
            Assert.Equal(HttpStatusCode.OK, await AskAsync(client));
            client.DefaultRequestHeaders.Remove("X-Tenant-Id");
            client.DefaultRequestHeaders.Add("X-Tenant-Id", "globex");
            using var crossing = await client.GetAsync("/v1/models", Cancelled);
            await crossing.ErrorAsync(HttpStatusCode.Forbidden, "tenant_mismatch");
        }
    }

    public static TheoryData<string> Faults =>
    [
        "issuer", "audience", "no audience", "expired", "no expiry", "not yet valid", "type", "no subject",
        "no tenant", "empty tenant", "blank tenant", "tenant is a number", "tenants", "a list of one tenant", "tenant under another name", "unknown tenant",
        "alg none", "HS256 with the public key", "PS256", "another key", "another key under a known id",
    ];

    [Theory]
    [MemberData(nameof(Faults))]
    [Trait("Checklist", "AUTH-02")]
    public async Task A_wrong_token_is_401(string fault)
    {
        using (var good = oidc.Api.Client(oidc.Authority.Forge(oidc.Authority.Keys[0], _ => { })))
            Assert.Equal(HttpStatusCode.OK, await AskAsync(good));
        using var client = oidc.Api.Client(Forge(fault));
        using var response = await client.GetAsync("/v1/models", Cancelled);
        await response.ErrorAsync(HttpStatusCode.Unauthorized);
    }

    [Fact]
    public async Task Keys_change_under_load_without_one_failed_request()
    {
        using var over = CancellationTokenSource.CreateLinkedTokenSource(Cancelled);
        var (answers, old) = (new ConcurrentBag<HttpStatusCode>(), new ConcurrentBag<HttpStatusCode>());
        var first = await oidc.Authority.TokenAsync("acme", "alice");
        var readsBefore = oidc.Authority.KeySetReads;
        var started = Stopwatch.GetTimestamp();
        // Seven take a new token for each request, one holds on to its first until the keys have changed three times.
        var callers = Enumerable.Range(0, 8).Select(n => Task.Run(
            async () =>
            {
                while (!over.IsCancellationRequested)
                {
                    using var client = oidc.Api.Client(n == 0 ? first : await oidc.Authority.TokenAsync("acme", "alice"));
                    (n == 0 ? old : answers).Add(await AskAsync(client));
                }
            },
            Cancelled)).ToList();
        const int Changes = 3;
        for (var i = 0; i < Changes; i++)
        {
            await AnswersAsync(answers.Count + 100);
            // The worst an authority may do: it signs with a key in the moment it publishes it.
            oidc.Authority.SetKeys([OidcServer.EcKey(), .. oidc.Authority.Keys]);
        }

        await AnswersAsync(answers.Count + 100);
        await over.CancelAsync();
        await Task.WhenAll(callers);
        Assert.NotEmpty(old);
        Assert.Empty(answers.Concat(old).Where(a => a != HttpStatusCode.OK).Distinct());
        // That they are few is the storm's to show; here each change must have been read.
        Assert.True(oidc.Authority.KeySetReads - readsBefore >= Changes);

        async Task AnswersAsync(int count)
        {
            while (answers.Count < count && callers.TrueForAll(c => !c.IsFaulted))
            {
                Assert.True(Stopwatch.GetElapsedTime(started) < TimeSpan.FromSeconds(60), $"Waited 60 s for {count} answers; there are {answers.Count}.");
                await Task.Delay(TimeSpan.FromMilliseconds(20), Cancelled);
            }
        }
    }

    [Fact]
    public async Task A_storm_of_made_up_key_ids_reaches_the_authority_as_a_trickle_and_keeps_no_good_token_out()
    {
        await using var replica = await InProcessApi.CreateAsync(oidc.Application, oidc.Authority.Settings);
        using (var warm = replica.Client(await oidc.Authority.TokenAsync("acme", "alice")))
            Assert.Equal(HttpStatusCode.OK, await AskAsync(warm));
        var readsBefore = oidc.Authority.KeySetReads;
        var started = Stopwatch.GetTimestamp();
        for (var round = 0; round < 3; round++)
        {
            var storm = Enumerable.Range(0, 300).Select(async _ =>
            {
                using var client = replica.Client(oidc.Authority.Forge(OidcServer.EcKey(), _ => { }));
                return await AskAsync(client);
            }).ToList();
            oidc.Authority.SetKeys([OidcServer.EcKey(), .. oidc.Authority.Keys]);
            using var good = replica.Client(await oidc.Authority.TokenAsync("acme", "alice"));
            Assert.Equal(HttpStatusCode.OK, await AskAsync(good));
            Assert.Equal([HttpStatusCode.Unauthorized], (await Task.WhenAll(storm)).Distinct());
        }

        Assert.InRange(oidc.Authority.KeySetReads - readsBefore, 1, 1 + Elapsed(started));
    }

    [Fact]
    public async Task While_the_authority_is_away_known_keys_serve_and_unknown_ones_are_told_to_come_again()
    {
        var known = await oidc.Authority.TokenAsync("acme", "alice");
        using var client = oidc.Api.Client(known);
        Assert.Equal(HttpStatusCode.OK, await AskAsync(client));
        var next = OidcServer.EcKey();
        oidc.Authority.SetKeys([next, .. oidc.Authority.Keys]);
        using var early = oidc.Api.Client(oidc.Authority.Forge(next, _ => { }));
        oidc.Authority.IsDown = true;
        try
        {
            using var unsure = await early.GetAsync("/v1/models", Cancelled);
            await unsure.ErrorAsync(HttpStatusCode.ServiceUnavailable, "identity_provider_unavailable");
            Assert.True(unsure.Headers.RetryAfter?.Delta > TimeSpan.Zero);
            Assert.Equal(HttpStatusCode.OK, await AskAsync(client));
        }
        finally
        {
            oidc.Authority.IsDown = false;
        }

        Assert.Equal(HttpStatusCode.OK, await AskAsync(early));
    }

    [Fact]
    public async Task Started_while_the_authority_is_away_it_says_so_serves_keys_and_takes_tokens_once_it_answers()
    {
        await using var authority = await OidcServer.StartAsync();
        var token = await authority.TokenAsync("acme", "alice");
        authority.IsDown = true;
        await using var api = await InProcessApi.CreateAsync(oidc.Application, authority.Settings);
        using var byToken = api.Client(token);
        using var byKey = api.Client(oidc.Application.DeveloperKey);
        using var refused = await byToken.GetAsync("/v1/models", Cancelled);
        await refused.ErrorAsync(HttpStatusCode.ServiceUnavailable, "identity_provider_unavailable");
        Assert.Equal(HttpStatusCode.OK, await AskAsync(byKey));
        Assert.Contains(api.Log, line => line.StartsWith("Error: The OIDC authority", StringComparison.Ordinal) && line.Contains("tokens are answered 503", StringComparison.Ordinal));
        authority.IsDown = false;
        Assert.Equal(HttpStatusCode.OK, await AskAsync(byToken));
    }

    private static async Task<HttpStatusCode> AskAsync(HttpClient client, string path = "/v1/models")
    {
        using var response = await client.GetAsync(path, Cancelled);
        return response.StatusCode;
    }

    /// <summary>How often the authority may have been asked since.</summary>
    private static int Elapsed(long started) => (int)Math.Ceiling(Stopwatch.GetElapsedTime(started) / Interval);

    private string Forge(string fault)
    {
        var authority = oidc.Authority;
        var own = authority.Keys[0];
        var now = TimeProvider.System.GetUtcNow().UtcDateTime;
        return fault switch
        {
            "issuer" => authority.Forge(own, t => t.Issuer = "https://elsewhere.example"),
            "audience" => authority.Forge(own, t => t.Audience = "another"),
            "no audience" => authority.Forge(own, t => t.Audience = null),
            "expired" => authority.Forge(own, t => (t.NotBefore, t.Expires) = (now.AddHours(-2), now.AddHours(-1))),
            "no expiry" => authority.Forge(own, t => t.Expires = null),
            "not yet valid" => authority.Forge(own, t => (t.NotBefore, t.Expires) = (now.AddHours(1), now.AddHours(2))),
            "type" => authority.Forge(own, t => t.TokenType = "secevent+jwt"),
            "no subject" => authority.Forge(own, t => t.Claims.Remove("sub")),
            "no tenant" => authority.Forge(own, t => t.Claims.Remove(OidcServer.TenantClaim)),
            "empty tenant" => WithTenant(""),
            "blank tenant" => WithTenant(" "),
            "tenant is a number" => WithTenant(5),
            "tenants" => WithTenant(new[] { "acme", "globex" }),
            "a list of one tenant" => WithTenant(new[] { "acme" }),
            "unknown tenant" => WithTenant("nobody"),
            "tenant under another name" => authority.Forge(own, t =>
            {
                t.Claims.Remove(OidcServer.TenantClaim);
                t.Claims["tenant_id"] = "acme";
            }),
            "alg none" => authority.Forge(null, _ => { }),
            "HS256 with the public key" => authority.Forge(
                new SigningCredentials(
                    new SymmetricSecurityKey(Encoding.ASCII.GetBytes(PublicKey(own))) { KeyId = own.Key.KeyId }, SecurityAlgorithms.HmacSha256),
                _ => { }),
            "PS256" => Probabilistic(),
            "another key" => authority.Forge(OidcServer.EcKey(), _ => { }),
            "another key under a known id" => authority.Forge(Impostor(own.Key.KeyId), _ => { }),
            _ => throw new ArgumentOutOfRangeException(nameof(fault), fault, null),
        };

        // Other tests change the keys, and with them their kind.
        static string PublicKey(SigningCredentials credentials) => credentials.Key is ECDsaSecurityKey ec
            ? ec.ECDsa.ExportSubjectPublicKeyInfoPem()
            : ((RsaSecurityKey)credentials.Key).Rsa.ExportSubjectPublicKeyInfoPem();

        string WithTenant(object tenant) => authority.Forge(own, t => t.Claims[OidcServer.TenantClaim] = tenant);
    }

    private static SigningCredentials Impostor(string id)
    {
        var key = OidcServer.EcKey();
        key.Key.KeyId = id;
        return key;
    }

    /// <summary>A good RSA key of the authority, used in a way that is not on the list.</summary>
    private string Probabilistic()
    {
        var key = OidcServer.RsaKey();
        oidc.Authority.SetKeys([.. oidc.Authority.Keys, key]);
        return oidc.Authority.Forge(new SigningCredentials(key.Key, SecurityAlgorithms.RsaSsaPssSha256), _ => { });
    }
}
