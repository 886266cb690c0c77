using System.Net;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using AiAspire.Integration.Admin;
using AiAspire.Integration.Application;

namespace AiAspire.Integration.Idempotency;

/// <summary>The header at the endpoints that create something beside chat and jobs.</summary>
[Collection(ApplicationCollection.Name)]
[Trait("Checklist", "ARCH-04")]
public sealed class OncePerKeyTests(RunningApplication application)
{
    /// <summary>POSTs that take no key, and why they need none.</summary>
    private static readonly Dictionary<string, string> NoKey = new(StringComparer.Ordinal)
    {
        ["/v1/admin/api-keys/{id}/revoke"] = "revoking a key twice is revoking it",
        ["/v1/admin/jobs/dead-letters/redrive"] = "what is redriven is no dead letter any more",
        ["/v1/admin/jobs/dead-letters/{id}/redrive"] = "what is redriven is no dead letter any more",
        ["/v1/admin/notifications/test"] = "a repeat is one more test, and that is what is asked for",
        ["/v1/admin/schedules/{name}/run"] = "while a run waits, asking again is asking for that one",
        ["/v1/batches/{id}/cancel"] = "cancelling twice is cancelling",
        ["/v1/jobs/{id}/cancel"] = "cancelling twice is cancelling",
        ["/v1/audit/verify"] = "reads and computes; creates nothing",
    };

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Every_POST_of_the_document_takes_a_key_or_is_listed_with_a_reason()
    {
        using var client = application.Client(null);
        var document = await client.GetFromJsonAsync<JsonElement>("/openapi/v1.json", Cancelled);
        var posts = document.GetProperty("paths").EnumerateObject().Where(p => p.Value.TryGetProperty("post", out _)).ToDictionary(p => p.Name, p => TakesKey(p.Value.GetProperty("post")));
        Assert.Equal(NoKey.Keys.Order(StringComparer.Ordinal), posts.Where(p => !p.Value).Select(p => p.Key).Order(StringComparer.Ordinal));
        Assert.True(posts["/v1/chat/completions"] && posts["/v1/jobs"] && posts["/v1/feedback"]);

        static bool TakesKey(JsonElement operation) => operation.TryGetProperty("parameters", out var parameters)
            && parameters.EnumerateArray().Any(p => p.GetProperty("name").GetString() == "Idempotency-Key" && p.GetProperty("in").GetString() == "header")
            && operation.GetProperty("responses").TryGetProperty("422", out _);
    }

    [Fact]
    public async Task Of_a_hundred_equal_ratings_at_once_one_is_kept_and_all_repeats_get_its_answer()
    {
        using var client = application.Client(application.Token("acme", "alice"));
        using var answer = await client.ChatAsync("rate me");
        var request = answer.Header("x-request-id");
        var ids = await HundredAsync(client, "/v1/feedback", new { request_id = request, rating = 5, comment = "good" }, r => r.GetProperty("id").GetGuid());
        await using var database = await application.OpenSuperuserAsync();
        Assert.Equal(ids, await database.ListAsync("SELECT feedback_id FROM aiaspire.feedback WHERE request_id = $1", row => row.GetGuid(0), Guid.Parse(request)));
    }

    [Fact]
    public async Task Of_a_hundred_equal_users_at_once_one_is_made_with_one_audit_entry()
    {
        using var tenant = await AdministeredTenant.CreateAsync(application);
        using var admin = tenant.As("chief", "tenant_admin");
        var ids = await HundredAsync(admin, "/v1/admin/users", new { external_id = "ann" }, r => r.GetProperty("id").GetGuid());
        await using var database = await application.OpenSuperuserAsync();
        Assert.Equal(ids, await database.ListAsync("SELECT user_id FROM aiaspire.users WHERE tenant_id = $1 AND external_id = 'ann'", row => row.GetGuid(0), tenant.Id));
        Assert.Single(await tenant.AuditAsync("user.created"));
    }

    [Fact]
    public async Task A_key_made_for_another_tenant_is_shown_to_its_maker_again_and_stored_only_as_ciphertext()
    {
        using var tenant = await AdministeredTenant.CreateAsync(application);
        var ann = await tenant.AddUserAsync("ann");
        var (key, body) = (NewKey(), new { name = "once", user_id = ann });
        using var first = await SendAsync(tenant.Operator, tenant.Path("api-keys"), key, body);
        using var second = await SendAsync(tenant.Operator, tenant.Path("api-keys"), key, body);
        Assert.Equal(HttpStatusCode.Created, second.StatusCode);
        Assert.Equal("true", second.Header("Idempotent-Replayed"));
        Assert.False(first.Headers.Contains("Idempotent-Replayed"));
        var text = await first.Content.ReadAsStringAsync(Cancelled);
        Assert.Equal(text, await second.Content.ReadAsStringAsync(Cancelled));
        var secret = JsonElement.Parse(text).GetProperty("key").GetString()!;
        using (var client = application.Client(secret))
            await tenant.AnsweredAsync(client, HttpStatusCode.OK);

        await using var database = await application.OpenSuperuserAsync();
        Assert.Equal(1, await database.ScalarAsync<long>("SELECT count(*) FROM aiaspire.api_keys WHERE tenant_id = $1", tenant.Id));
        // Of the operator's own tenant, not of the one that was administered.
        var (owner, stored) = Assert.Single(await database.ListAsync(
            "SELECT t.slug, k.response FROM aiaspire.idempotency_keys k JOIN aiaspire.tenants t USING (tenant_id) WHERE k.key = $1", row => (row.GetString(0), row.GetFieldValue<byte[]>(1)), key));
        Assert.Equal("acme", owner);
        Assert.Equal(-1, stored.AsSpan().IndexOf(Encoding.ASCII.GetBytes(secret)));
        Assert.Equal(-1, stored.AsSpan().IndexOf("api_key"u8));

        // The tenant in the query and the id in the path are part of the request.
        using var elsewhere = await SendAsync(tenant.Operator, "/v1/admin/api-keys", key, body);
        await elsewhere.ErrorAsync(HttpStatusCode.UnprocessableEntity, "idempotency_key_reused");
    }

    [Fact]
    public async Task A_replay_has_the_address_of_what_was_made_and_a_refusal_leaves_the_key_free()
    {
        using var client = application.Developer();
        var (key, slug) = (NewKey(), $"t-{NewKey()}");
        using var refused = await SendAsync(client, "/v1/admin/tenants", key, new { slug, name = "" });
        await refused.ErrorAsync(HttpStatusCode.BadRequest, param: "name");
        using var first = await SendAsync(client, "/v1/admin/tenants", key, new { slug, name = "Once" });
        using var second = await SendAsync(client, "/v1/admin/tenants", key, new { slug, name = "Once" });
        Assert.Equal(HttpStatusCode.Created, first.StatusCode);
        Assert.NotNull(first.Headers.Location);
        Assert.Equal(first.Headers.Location, second.Headers.Location);
        Assert.Equal("true", second.Header("Idempotent-Replayed"));
        using var other = await SendAsync(client, "/v1/admin/tenants", NewKey(), new { slug, name = "Once" });
        await other.ErrorAsync(HttpStatusCode.Conflict, "slug_taken");

        // A key rotated once has one successor.
        using var tenant = await AdministeredTenant.CreateAsync(application);
        var (id, _) = await tenant.AddKeyAsync(await tenant.AddUserAsync("ann"));
        var rotation = NewKey();
        using var rotated = await SendAsync(client, tenant.Path($"api-keys/{id}/rotate"), rotation, new { });
        using var again = await SendAsync(client, tenant.Path($"api-keys/{id}/rotate"), rotation, new { });
        Assert.Equal(await rotated.Content.ReadAsStringAsync(Cancelled), await again.Content.ReadAsStringAsync(Cancelled));
        await using var database = await application.OpenSuperuserAsync();
        Assert.Equal(2, await database.ScalarAsync<long>("SELECT count(*) FROM aiaspire.api_keys WHERE tenant_id = $1", tenant.Id));
    }

    /// <returns>The different results of the answers: one, if there was one effect.</returns>
    private static async Task<IEnumerable<T>> HundredAsync<T>(HttpClient client, string path, object body, Func<JsonElement, T> result)
    {
        var key = NewKey();
        var responses = await Task.WhenAll(Enumerable.Range(0, 100).Select(_ => SendAsync(client, path, key, body)));
        try
        {
            Assert.Empty(responses.Select(r => r.StatusCode).Except([HttpStatusCode.Created, HttpStatusCode.Conflict]));
            Assert.Single(responses, r => r.StatusCode == HttpStatusCode.Created && !r.Headers.Contains("Idempotent-Replayed"));
            Assert.DoesNotContain(responses, r => r.StatusCode == HttpStatusCode.Conflict && !(r.Headers.RetryAfter?.Delta > TimeSpan.Zero));
            using var late = await SendAsync(client, path, key, body);
            Assert.Equal("true", late.Header("Idempotent-Replayed"));
            var results = new List<T> { result(await late.JsonAsync()) };
            foreach (var response in responses.Where(r => r.StatusCode == HttpStatusCode.Created))
                results.Add(result(await response.JsonAsync()));
            return results.Distinct();
        }
        finally
        {
            foreach (var response in responses)
                response.Dispose();
        }
    }

    private static async Task<HttpResponseMessage> SendAsync(HttpClient client, string path, string key, object body)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, path) { Content = JsonContent.Create(body) };
        request.Headers.TryAddWithoutValidation("Idempotency-Key", key);
        return await client.SendAsync(request, Cancelled);
    }

    private static string NewKey() => Guid.CreateVersion7(TimeProvider.System.GetUtcNow()).ToString("N");
}
