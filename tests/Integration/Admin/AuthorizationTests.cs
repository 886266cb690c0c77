using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using System.Text.RegularExpressions;
using AiAspire.Integration.Application;

namespace AiAspire.Integration.Admin;

/// <summary>Who may not.</summary>
[Collection(ApplicationCollection.Name)]
[Trait("Checklist", "AUTH-07")]
public sealed partial class AuthorizationTests(RunningApplication application)
{
    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    /// <summary>The document itself and its reader; health is not in the document.</summary>
    private static readonly string[] Open = ["/openapi/v1.json", "/scalar", "/health", "/alive"];

    [Fact]
    public async Task Every_endpoint_of_the_document_asks_for_a_credential()
    {
        using var anonymous = application.Client(null);
        var checkedOnes = 0;
        foreach (var (method, path) in await OperationsAsync())
        {
            if (Open.Any(o => path.StartsWith(o, StringComparison.Ordinal)))
                continue;
            using var response = await SendAsync(anonymous, method, path);
            Assert.True(response.StatusCode == HttpStatusCode.Unauthorized, $"{method} {path} answers {(int)response.StatusCode} without a credential");
            checkedOnes++;
        }

        Assert.InRange(checkedOnes, 20, int.MaxValue);
    }

    [Fact]
    [Trait("Checklist", "AUTH-08")]
    public async Task A_mere_user_is_refused_at_every_administrative_and_audit_route()
    {
        using var alice = application.Client(application.Token("acme", "alice"));
        var administrative = (await OperationsAsync())
            .Where(o => o.Path.StartsWith("/v1/admin", StringComparison.Ordinal) || o.Path.StartsWith("/v1/audit", StringComparison.Ordinal)).ToList();
        Assert.InRange(administrative.Count, 19, int.MaxValue);
        foreach (var (method, path) in administrative)
        {
            using var response = await SendAsync(alice, method, path);
            await response.ErrorAsync(HttpStatusCode.Forbidden, "insufficient_role");
        }
    }

    [Fact]
    public async Task Another_tenants_ids_are_404_to_a_tenant_administrator_and_nothing_is_changed()
    {
        var (acme, alice, key) = await AcmeAsync();
        using var carol = application.Client(application.UserKey("carol"));
        foreach (var (method, path, body) in new (string, string, object?)[]
        {
            ("GET", $"tenants/{acme}", null),
            ("GET", $"users?tenant_id={acme}", null),
            ("POST", $"users?tenant_id={acme}", new { external_id = "intruder" }),
            ("GET", $"users/{alice}", null),
            ("GET", $"users/{alice}?tenant_id={acme}", null),
            ("PATCH", $"users/{alice}", new { status = "suspended" }),
            ("PATCH", $"users/{alice}?tenant_id={acme}", new { status = "suspended" }),
            ("GET", $"tiers?tenant_id={acme}", null),
            ("PUT", $"tiers/free?tenant_id={acme}", new { models = new[] { "*" }, features = new[] { "*" } }),
            ("GET", $"api-keys?tenant_id={acme}", null),
            ("POST", "api-keys", new { name = "x", user_id = alice }),
            ("POST", $"api-keys?tenant_id={acme}", new { name = "x", user_id = alice }),
            ("POST", $"api-keys/{key}/revoke", null),
            ("POST", $"api-keys/{key}/rotate", new { }),
            ("POST", $"api-keys/{key}/revoke?tenant_id={acme}", null),
            ("GET", "users?tenant_id=00000000-0000-7000-8000-000000000001", null),
        })
        {
            using var request = new HttpRequestMessage(new HttpMethod(method), $"/v1/admin/{path}") { Content = body is null ? null : JsonContent.Create(body) };
            using var response = await carol.SendAsync(request, Cancelled);
            await response.ErrorAsync(HttpStatusCode.NotFound, "not_found");
        }

        await using var superuser = await application.OpenSuperuserAsync();
        Assert.Equal("Active", await superuser.ScalarAsync<string>("SELECT status FROM aiaspire.users WHERE user_id = $1", alice));
        Assert.True(await superuser.ScalarAsync<bool>("SELECT revoked_at IS NULL FROM aiaspire.api_keys WHERE api_key_id = $1", key));
        Assert.Equal(0, await superuser.ScalarAsync<long>("SELECT count(*) FROM aiaspire.users WHERE external_id = 'intruder'"));
    }

    [Fact]
    public async Task A_tenant_administrator_cannot_rise_above_the_tenant()
    {
        var (acme, alice, developersKey) = await AcmeAsync();
        await using var superuser = await application.OpenSuperuserAsync();
        var developer = await superuser.ScalarAsync<Guid>("SELECT user_id FROM aiaspire.users WHERE tenant_id = $1 AND external_id = 'developer'", acme);
        using var admin = application.Client(application.Token("acme", "bob", "tenant_admin"));
        foreach (var (method, path, body, code) in new (string, string, object, string)[]
        {
            ("POST", "users", new { external_id = "riser", roles = new[] { "user", "operator" } }, "role_not_grantable"),
            ("PATCH", $"users/{alice}", new { roles = new[] { "operator" } }, "role_not_grantable"),
            ("PATCH", $"users/{developer}", new { roles = new[] { "user" } }, "insufficient_role"),
            ("PATCH", $"users/{developer}", new { status = "suspended" }, "insufficient_role"),
            ("POST", "api-keys", new { name = "x", user_id = developer }, "insufficient_role"),
            ("POST", $"api-keys/{developersKey}/rotate", new { }, "insufficient_role"),
            ("POST", "tenants", new { slug = "mine", name = "Mine" }, "insufficient_role"),
            ("PATCH", $"tenants/{acme}", new { tokens_per_day = 1 }, "insufficient_role"),
        })
        {
            using var request = new HttpRequestMessage(new HttpMethod(method), $"/v1/admin/{path}") { Content = JsonContent.Create(body) };
            using var response = await admin.SendAsync(request, Cancelled);
            await response.ErrorAsync(HttpStatusCode.Forbidden, code);
        }

        // A key that acts for any user by name gives what users have, not what the named one may do beyond that.
        using var acting = application.Client(application.TenantKey("acme"));
        acting.DefaultRequestHeaders.Add("X-AiAspire-User", "developer");
        using var switches = await acting.GetAsync("/v1/admin/kill-switches/service", Cancelled);
        await switches.ErrorAsync(HttpStatusCode.Forbidden, "insufficient_role");
    }

    [Fact]
    public async Task A_tenant_administrator_grants_what_the_tenant_has_and_the_grant_holds()
    {
        using var tenant = await AdministeredTenant.CreateAsync(application);
        using var admin = tenant.As("chief", "tenant_admin");
        using var made = await admin.PostAsJsonAsync("/v1/admin/users", new { external_id = "ann", roles = new[] { "user", "auditor" } }, Cancelled);
        Assert.Equal(HttpStatusCode.Created, made.StatusCode);
        using var twice = await admin.PostAsJsonAsync("/v1/admin/users", new { external_id = "ann" }, Cancelled);
        await twice.ErrorAsync(HttpStatusCode.Conflict, "user_exists", "external_id");
        // Her token says nothing of roles; what is stored does.
        using var ann = tenant.As("ann");
        var log = await ann.GetFromJsonAsync<JsonElement>("/v1/audit?action=user.created", Cancelled);
        Assert.Equal("user", log.GetProperty("data")[0].GetProperty("actor_kind").GetString());
    }

    private async Task<(Guid Acme, Guid Alice, Guid DevelopersKey)> AcmeAsync()
    {
        await using var superuser = await application.OpenSuperuserAsync();
        var acme = await superuser.ScalarAsync<Guid>("SELECT tenant_id FROM aiaspire.tenants WHERE slug = 'acme'");
        return (
            acme,
            await superuser.ScalarAsync<Guid>("SELECT user_id FROM aiaspire.users WHERE tenant_id = $1 AND external_id = 'alice'", acme),
            await superuser.ScalarAsync<Guid>("SELECT api_key_id FROM aiaspire.api_keys WHERE tenant_id = $1 AND name = 'development'", acme));
    }

    private async Task<List<(string Method, string Path)>> OperationsAsync()
    {
        using var client = application.Client(null);
        var document = await client.GetFromJsonAsync<JsonElement>("/openapi/v1.json", Cancelled);
        return [.. from path in document.GetProperty("paths").EnumerateObject()
                   from operation in path.Value.EnumerateObject()
                   where operation.Name is "get" or "put" or "post" or "patch" or "delete"
                   select (operation.Name.ToUpperInvariant(), Parameter().Replace(path.Name, Guid.Empty.ToString()))];
    }

    private static Task<HttpResponseMessage> SendAsync(HttpClient client, string method, string path)
    {
        var request = new HttpRequestMessage(new HttpMethod(method), path);
        if (method is not "GET" and not "DELETE")
            request.Content = JsonContent.Create(new { });
        return client.SendAsync(request, Cancelled);
    }

    [GeneratedRegex(@"\{[^}]+\}", RegexOptions.CultureInvariant, matchTimeoutMilliseconds: 1000)]
    private static partial Regex Parameter();
}
