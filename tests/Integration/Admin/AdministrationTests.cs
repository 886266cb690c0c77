using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using AiAspire.Integration.Application;

namespace AiAspire.Integration.Admin;

[Collection(ApplicationCollection.Name)]
public sealed class AdministrationTests(RunningApplication application)
{
    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    [Trait("Checklist", "AUTH-01")]
    public async Task A_revoked_key_is_refused_within_five_seconds_though_it_was_in_use()
    {
        using var tenant = await AdministeredTenant.CreateAsync(application);
        var (id, key) = await tenant.AddKeyAsync(await tenant.AddUserAsync("ann"));
        using var client = application.Client(key);
        for (var i = 0; i < 3; i++)
        {
            using var served = await client.GetAsync("/v1/models", Cancelled);
            Assert.Equal(HttpStatusCode.OK, served.StatusCode);
        }

        var revoked = await tenant.PostAsync($"api-keys/{id}/revoke", new { });
        Assert.NotEqual(JsonValueKind.Null, revoked.GetProperty("revoked_at").ValueKind);
        await tenant.AnsweredAsync(client, HttpStatusCode.Unauthorized);
        var entry = Assert.Single(await tenant.AuditAsync("api_key.revoked"));
        Assert.Equal(id.ToString(), entry.GetProperty("target_id").GetString());
        Assert.Equal("operator", entry.GetProperty("actor_kind").GetString());
    }

    [Fact]
    public async Task A_suspended_user_and_a_suspended_tenant_are_refused_within_five_seconds_and_served_again_after()
    {
        using var tenant = await AdministeredTenant.CreateAsync(application);
        var ann = await tenant.AddUserAsync("ann");
        await tenant.AddUserAsync("ben");
        using var annClient = tenant.As("ann");
        using var benClient = tenant.As("ben");
        await tenant.AnsweredAsync(annClient, HttpStatusCode.OK);
        await tenant.AnsweredAsync(benClient, HttpStatusCode.OK);

        await tenant.PatchAsync(tenant.Path($"users/{ann}"), new { status = "suspended" });
        await tenant.AnsweredAsync(annClient, HttpStatusCode.Forbidden);
        await tenant.AnsweredAsync(benClient, HttpStatusCode.OK);
        await tenant.PatchAsync(tenant.Path($"users/{ann}"), new { status = "active" });
        await tenant.AnsweredAsync(annClient, HttpStatusCode.OK);

        await tenant.PatchAsync($"/v1/admin/tenants/{tenant.Id}", new { status = "suspended" });
        await tenant.AnsweredAsync(benClient, HttpStatusCode.Forbidden);
        await tenant.PatchAsync($"/v1/admin/tenants/{tenant.Id}", new { status = "active" });
        await tenant.AnsweredAsync(benClient, HttpStatusCode.OK);
        foreach (var action in new[] { "user.suspended", "user.resumed", "tenant.suspended", "tenant.resumed", "tenant.created" })
            Assert.Single(await tenant.AuditAsync(action));
    }

    [Fact]
    public async Task A_rotated_key_and_its_successor_both_work_until_the_overlap_ends()
    {
        using var tenant = await AdministeredTenant.CreateAsync(application);
        var (id, key) = await tenant.AddKeyAsync(await tenant.AddUserAsync("ann"));
        using var before = application.Client(key);
        await tenant.AnsweredAsync(before, HttpStatusCode.OK);
        var rotated = await tenant.PostAsync($"api-keys/{id}/rotate", new { overlap_seconds = 3 });
        using var after = application.Client(rotated.GetProperty("key").GetString());
        using (var overlapping = await before.GetAsync("/v1/models", Cancelled))
            Assert.Equal(HttpStatusCode.OK, overlapping.StatusCode);
        using (var successor = await after.GetAsync("/v1/models", Cancelled))
            Assert.Equal(HttpStatusCode.OK, successor.StatusCode);
        await tenant.AnsweredAsync(before, HttpStatusCode.Unauthorized);
        await tenant.AnsweredAsync(after, HttpStatusCode.OK);
        using var again = await tenant.Operator.PostAsJsonAsync(tenant.Path($"api-keys/{id}/rotate"), new { }, Cancelled);
        await again.ErrorAsync(HttpStatusCode.Conflict, "key_not_in_use", "id");
    }

    [Fact]
    public async Task A_key_is_shown_once_then_only_by_its_prefix_and_tells_when_it_was_used()
    {
        using var tenant = await AdministeredTenant.CreateAsync(application);
        var (id, key) = await tenant.AddKeyAsync(await tenant.AddUserAsync("ann"));
        using var client = application.Client(key);
        await tenant.AnsweredAsync(client, HttpStatusCode.OK);
        var list = await tenant.Operator.GetStringAsync(tenant.Path("api-keys"), Cancelled);
        Assert.DoesNotContain(key, list, StringComparison.Ordinal);
        var listed = JsonElement.Parse(list).GetProperty("data").EnumerateArray().Single(k => k.GetProperty("id").GetGuid() == id);
        Assert.StartsWith(listed.GetProperty("prefix").GetString()!, key, StringComparison.Ordinal);
        await Wait.UntilAsync(
            "last_used_at",
            async () => (await tenant.Operator.GetFromJsonAsync<JsonElement>(tenant.Path("api-keys"), Cancelled))
                .GetProperty("data")[0].GetProperty("last_used_at").ValueKind == JsonValueKind.String,
            application,
            "api");
    }

    [Fact]
    [Trait("Checklist", "AUTH-08")]
    public async Task A_tenants_own_tier_replaces_the_platforms_and_decides_models_and_limits()
    {
        using var tenant = await AdministeredTenant.CreateAsync(application);
        var ann = await tenant.AddUserAsync("ann");
        using var client = tenant.As("ann");
        using (var first = await client.ChatAsync("hello"))
            Assert.Equal("10000", first.Header("x-ratelimit-limit-tokens"));
        using (var put = await tenant.Operator.PutAsJsonAsync(
            tenant.Path("tiers/small"), new { models = new[] { "sim-small*" }, features = new[] { "*" }, tokens_per_day = 5000 }, Cancelled))
            Assert.Equal(HttpStatusCode.OK, put.StatusCode);
        await tenant.PatchAsync(tenant.Path($"users/{ann}"), new { tier = "small" });
        await Wait.UntilAsync(
            "the new tier",
            async () =>
            {
                using var refused = await client.ChatAsync("hello");
                return refused.StatusCode == HttpStatusCode.NotFound;
            },
            application,
            "api",
            Wait.EverywhereWithin);
        using (var small = await client.ChatAsync("hello", "sim-small"))
            Assert.Equal("5000", small.Header("x-ratelimit-limit-tokens"));
        var tiers = (await tenant.Operator.GetFromJsonAsync<JsonElement>(tenant.Path("tiers"), Cancelled)).GetProperty("data").EnumerateArray()
            .ToDictionary(t => t.GetProperty("name").GetString()!, t => t.GetProperty("source").GetString());
        Assert.Equal("tenant", tiers["small"]);
        Assert.Equal("platform", tiers["free"]);
        Assert.Single(await tenant.AuditAsync("tier.changed"));
    }

    [Fact]
    public async Task Reading_users_is_audited_and_paged()
    {
        using var tenant = await AdministeredTenant.CreateAsync(application);
        var (ann, ben) = (await tenant.AddUserAsync("ann"), await tenant.AddUserAsync("ben"));
        var first = await tenant.Operator.GetFromJsonAsync<JsonElement>(tenant.Path("users") + "&limit=1", Cancelled);
        Assert.Equal(ann, first.GetProperty("data")[0].GetProperty("id").GetGuid());
        Assert.True(first.GetProperty("has_more").GetBoolean());
        var second = await tenant.Operator.GetFromJsonAsync<JsonElement>(tenant.Path("users") + $"&after={ann}", Cancelled);
        Assert.Equal(ben, second.GetProperty("data")[0].GetProperty("id").GetGuid());
        var one = await tenant.Operator.GetFromJsonAsync<JsonElement>(tenant.Path($"users/{ben}"), Cancelled);
        Assert.Equal("ben", one.GetProperty("external_id").GetString());
        var reads = await tenant.AuditAsync("users.read");
        Assert.Equal(3, reads.Count);
        Assert.All(reads, r => Assert.DoesNotContain("ben", r.GetRawText(), StringComparison.Ordinal));
        var tenants = await tenant.Operator.GetStringAsync("/v1/admin/tenants?limit=100", Cancelled);
        Assert.DoesNotContain("\"platform\"", tenants, StringComparison.Ordinal);
    }

    public static TheoryData<string, string, string, string> BadInputs => new()
    {
        { "POST", "tenants", """{"name":"x"}""", "slug" },
        { "POST", "tenants", """{"slug":"Not A Slug","name":"x"}""", "slug" },
        { "POST", "tenants", """{"slug":"good-slug","name":""}""", "name" },
        { "POST", "tenants", """{"slug":"good-slug","name":"x","tokens_per_day":-1}""", "tokens_per_day" },
        { "POST", "tenants", """{"slug":"good-slug","name":"x","retention_days":0}""", "retention_days" },
        { "POST", "tenants", """{"slug":"good-slug","name":"x","colour":"red"}""", "colour" },
        { "POST", "users", """{}""", "external_id" },
        { "POST", "users", """{"external_id":"x","tier":"nonsense"}""", "tier" },
        { "POST", "users", """{"external_id":"x","roles":["emperor"]}""", "roles" },
        { "POST", "users", """{"external_id":"x","roles":"user"}""", "roles" },
        { "PUT", "tiers/x", """{"features":["*"]}""", "models" },
        { "PUT", "tiers/x", """{"models":["*"],"features":[""]}""", "features" },
        { "PUT", "tiers/x", """{"models":["*"],"features":["*"],"default_max_output_tokens":0}""", "default_max_output_tokens" },
        { "PUT", "tiers/x", """{"models":["*"],"features":["*"],"is_default":"yes"}""", "is_default" },
        { "POST", "api-keys", """{"user_id":"00000000-0000-0000-0000-000000000000"}""", "name" },
        { "POST", "api-keys", """{"name":"x"}""", "user_id" },
        { "POST", "api-keys", """{"name":"x","scopes":["everything"]}""", "scopes" },
        { "POST", "api-keys", """{"name":"x","user_id":"nobody"}""", "user_id" },
        { "POST", "api-keys", """{"name":"x","scopes":["act_as_user"],"expires_at":"2001-01-01T00:00:00Z"}""", "expires_at" },
    };

    [Theory]
    [MemberData(nameof(BadInputs))]
    public async Task Bad_input_is_400_and_names_the_field(string method, string path, string body, string field)
    {
        using var client = application.Developer();
        using var request = new HttpRequestMessage(new HttpMethod(method), $"/v1/admin/{path}") { Content = new StringContent(body, null, "application/json") };
        using var response = await client.SendAsync(request, Cancelled);
        await response.ErrorAsync(HttpStatusCode.BadRequest, param: field);
    }
}
