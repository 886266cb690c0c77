using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using AiAspire.Integration.Application;

namespace AiAspire.Integration.Audit;

[Collection(ApplicationCollection.Name)]
[Trait("Checklist", "CONV-08")]
public sealed class AuditTests(RunningApplication application)
{
    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Fifty_acts_at_once_make_one_unbroken_chain()
    {
        using var chain = await AuditChain.CreateAsync(application);
        await Task.WhenAll(Enumerable.Range(0, 50).Select(_ => chain.ExportAsync()));
        var entries = await chain.ExportAsync();
        Assert.Equal(Enumerable.Range(1, 51).Select(i => (long)i), entries.Select(e => e.GetProperty("sequence").GetInt64()));
        for (var i = 1; i < entries.Count; i++)
            Assert.Equal(entries[i - 1].GetProperty("hash").GetString(), entries[i].GetProperty("prev_hash").GetString());
        Assert.Equal(51, entries.Select(e => e.GetProperty("request_id").GetString()).Distinct().Count());
        var found = await chain.VerifyAsync();
        Assert.True(found.GetProperty("intact").GetBoolean(), found.GetRawText());
        Assert.Equal(51, found.GetProperty("entries").GetInt64());
    }

    [Fact]
    public async Task The_log_is_read_by_auditors_of_the_tenant_alone()
    {
        foreach (var credential in new[] { application.Token("acme", "alice"), application.DeveloperKey, application.Token("acme", "bob", "tenant_admin", "moderator") })
        {
            using var client = application.Client(credential);
            foreach (var path in new[] { "/v1/audit", "/v1/audit/export" })
            {
                using var refused = await client.GetAsync(path, Cancelled);
                await refused.ErrorAsync(HttpStatusCode.Forbidden, "insufficient_role");
            }

            using var verify = await client.PostAsync("/v1/audit/verify", null, Cancelled);
            await verify.ErrorAsync(HttpStatusCode.Forbidden, "insufficient_role");
        }

        using var mine = await AuditChain.CreateAsync(application);
        using var other = await AuditChain.CreateAsync(application);
        await mine.GrowAsync(2);
        await other.GrowAsync(1);
        Assert.All(await mine.ExportAsync(), e => Assert.Equal(mine.TenantId, e.GetProperty("tenant_id").GetGuid()));
        // The platform's chain is for those who are operators as well.
        using var platform = await mine.Auditor.GetAsync("/v1/audit?chain=platform", Cancelled);
        await platform.ErrorAsync(HttpStatusCode.BadRequest, "invalid_value", "chain");
    }

    [Fact]
    public async Task The_list_pages_backwards_and_filters_by_action_and_time()
    {
        using var chain = await AuditChain.CreateAsync(application);
        await chain.GrowAsync(3);
        await chain.VerifyAsync();
        var first = await ListAsync(chain.Auditor, "limit=3");
        Assert.Equal([4, 3, 2], Sequences(first));
        Assert.True(first.GetProperty("has_more").GetBoolean());
        var rest = await ListAsync(chain.Auditor, "limit=3&after=2");
        Assert.Equal([1], Sequences(rest));
        Assert.False(rest.GetProperty("has_more").GetBoolean());
        Assert.Equal([4], Sequences(await ListAsync(chain.Auditor, "action=audit.verified")));
        var second = first.GetProperty("data")[2].GetProperty("at").GetDateTimeOffset();
        Assert.Equal([1], Sequences(await ListAsync(chain.Auditor, $"to={Uri.EscapeDataString(second.ToString("O"))}")));
        Assert.Equal([4, 3, 2], Sequences(await ListAsync(chain.Auditor, $"from={Uri.EscapeDataString(second.ToString("O"))}")));
        using var wrong = await chain.Auditor.GetAsync("/v1/audit?limit=0", Cancelled);
        await wrong.ErrorAsync(HttpStatusCode.BadRequest, "invalid_value", "limit");
    }

    [Fact]
    public async Task Turning_the_kill_switch_and_failed_logins_stand_in_the_platforms_chain()
    {
        using var developer = application.Developer();
        using var turned = await developer.PutAsJsonAsync("/v1/admin/kill-switches/service", new { engaged = false }, Cancelled);
        using var stranger = application.Client("sk-" + new string('x', 43));
        using var refused = await stranger.GetAsync("/v1/models", Cancelled);
        Assert.Equal(HttpStatusCode.Unauthorized, refused.StatusCode);
        using var auditor = application.Client(application.Token("acme", "platform-auditor", "auditor", "operator"));

        var changes = await ListAsync(auditor, "chain=platform&action=kill_switch.changed&limit=1");
        var change = changes.GetProperty("data")[0];
        Assert.Equal(turned.Header("x-request-id"), change.GetProperty("request_id").GetString());
        Assert.Equal("operator", change.GetProperty("actor_kind").GetString());
        Assert.False(change.GetProperty("details").GetProperty("engaged").GetBoolean());

        // Other tests fail to log in too: at most ten a minute from one address are written down.
        var failures = await ListAsync(auditor, "chain=platform&action=login.failed&limit=200");
        var failure = failures.GetProperty("data")[0];
        Assert.Equal("anonymous", failure.GetProperty("actor_kind").GetString());
        Assert.Matches("/24$|/48$", failure.GetProperty("details").GetProperty("network").GetString());
        Assert.DoesNotContain("xxx", failures.GetRawText(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_flood_of_failed_logins_writes_no_more_than_its_share()
    {
        await using var superuser = await application.OpenSuperuserAsync();
        const string Count = "SELECT count(*) FROM aiaspire.audit_entries WHERE action = 'login.failed'";
        var before = await superuser.ScalarAsync<long>(Count);
        using var stranger = application.Client("not-a-token");
        var statuses = await Task.WhenAll(Enumerable.Range(0, 60).Select(async _ =>
        {
            using var response = await stranger.GetAsync("/v1/models", Cancelled);
            return response.StatusCode;
        }));
        Assert.All(statuses, s => Assert.Equal(HttpStatusCode.Unauthorized, s));
        // The minute may turn in between, which gives the source a second share.
        Assert.InRange(await superuser.ScalarAsync<long>(Count) - before, 0, 20);
    }

    [Fact]
    [Trait("Checklist", "AUTH-02")]
    public async Task A_refused_crossing_stands_in_the_callers_own_chain()
    {
        using var chain = await AuditChain.CreateAsync(application);
        using var client = application.Client(application.Token(chain.Slug, "wanderer"));
        client.DefaultRequestHeaders.Add("X-Tenant-Id", "globex");
        using var refused = await client.GetAsync("/v1/models", Cancelled);
        await refused.ErrorAsync(HttpStatusCode.Forbidden, "tenant_mismatch");
        var entry = (await ListAsync(chain.Auditor, "action=tenant.crossing_refused")).GetProperty("data")[0];
        Assert.Equal("user", entry.GetProperty("actor_kind").GetString());
        Assert.Equal(refused.Header("x-request-id"), entry.GetProperty("request_id").GetString());
    }

    private static Task<JsonElement> ListAsync(HttpClient client, string query) => client.GetFromJsonAsync<JsonElement>($"/v1/audit?{query}", Cancelled);

    private static List<int> Sequences(JsonElement list) => [.. list.GetProperty("data").EnumerateArray().Select(e => e.GetProperty("sequence").GetInt32())];
}
