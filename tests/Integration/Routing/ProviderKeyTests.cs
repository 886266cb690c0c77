using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using AiAspire.Integration.Application;
using Aspire.Hosting.Testing;

namespace AiAspire.Integration.Routing;

/// <summary>Keys of a provider that configuration gives none, <c>sim-rotating</c>; the Simulator behind it accepts only listed keys.</summary>
[Collection(ApplicationCollection.Name)]
public sealed class ProviderKeyTests(RunningApplication application)
{
    private const string Path = "/v1/admin/providers/sim-rotating/keys";

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    [Trait("Checklist", "PROV-06")]
    [Trait("Checklist", "PROV-07")]
    public async Task Keys_rotate_under_load_without_one_failed_request_and_are_never_shown()
    {
        using var client = application.Developer();
        using var company = application.App.CreateHttpClient("sim-openai");
        var (first, second) = ($"first-{Guid.CreateVersion7(TimeProvider.System.GetUtcNow()):n}", $"second-{Guid.CreateVersion7(TimeProvider.System.GetUtcNow()):n}");
        await AcceptAsync(company, first);
        using var before = await client.ChatAsync("hello", "rotating-large");
        await before.ErrorAsync(HttpStatusCode.NotFound, "model_not_found");

        var firstId = await AddAsync(client, "first", first);
        using (var offered = await client.ChatAsync("hello", "rotating-large"))
            Assert.Equal(HttpStatusCode.OK, offered.StatusCode);

        using var stopping = CancellationTokenSource.CreateLinkedTokenSource(Cancelled);
        var load = Enumerable.Range(0, 6).Select(_ => LoadAsync(client, stopping.Token)).ToList();
        // The company knows both for a while, as companies do; then the old one is gone.
        await AcceptAsync(company, first, second);
        var secondId = await AddAsync(client, "second", second, firstId, overlapSeconds: 1);
        await Wait.UntilAsync("the old key to retire", async () => await StateAsync(client, firstId) == "retired", application, "api");
        await Wait.UntilAsync("the last call on the old key", async () => await SinceLastUseAsync(first) is > 1, application, "api");
        await AcceptAsync(company, second);
        await Task.Delay(TimeSpan.FromSeconds(1), TimeProvider.System, Cancelled);
        await stopping.CancelAsync();
        var statuses = (await Task.WhenAll(load)).SelectMany(s => s).ToList();
        await company.DeleteAsync("/control/keys", Cancelled);

        Assert.True(statuses.Count > 20, $"only {statuses.Count} requests");
        Assert.All(statuses, s => Assert.Equal(HttpStatusCode.OK, s));
        var listed = await client.GetStringAsync(Path, Cancelled);
        var providers = await client.GetStringAsync("/v1/admin/providers", Cancelled);
        await using var database = await application.OpenSuperuserAsync();
        var rows = await database.ScalarAsync<string>("SELECT string_agg(encode(ciphertext, 'escape') || to_jsonb(k)::text, ' ') FROM aiaspire.provider_keys k");
        foreach (var text in new[] { listed, providers, rows })
        {
            Assert.DoesNotContain(first, text, StringComparison.Ordinal);
            Assert.DoesNotContain(second, text, StringComparison.Ordinal);
        }

        Assert.Equal(2, await database.ScalarAsync<long>(
            "SELECT count(*) FROM aiaspire.audit_entries WHERE action = 'provider_key.added' AND target_id IN ($1, $2)", firstId.ToString(), secondId.ToString()));
        using var retired = await client.DeleteAsync($"{Path}/{secondId}", Cancelled);
        Assert.Equal(HttpStatusCode.OK, retired.StatusCode);

        async Task<double?> SinceLastUseAsync(string key)
        {
            var bill = await company.GetFromJsonAsync<JsonElement>($"/control/bill?limit=100000&key={key}", Cancelled);
            var lines = bill.GetProperty("lines").EnumerateArray().ToList();
            return lines.Count == 0 ? null : (TimeProvider.System.GetUtcNow() - lines.Max(l => l.GetProperty("startedAt").GetDateTimeOffset())).TotalSeconds;
        }
    }

    [Fact]
    [Trait("Checklist", "PROV-06")]
    public async Task A_key_that_the_company_refuses_is_put_out_of_use_and_the_others_serve()
    {
        using var client = application.Developer();
        using var company = application.App.CreateHttpClient("sim-openai");
        var (good, bad) = ("good-key-of-the-company", "bad-key-of-the-company");
        var badId = await AddAsync(client, "bad", bad);
        var goodId = await AddAsync(client, "good", good);
        await AcceptAsync(company, good);
        for (var i = 0; i < 10; i++)
        {
            using var response = await client.ChatAsync("hello", "rotating-large");
            Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        }

        Assert.Equal("refused", await StateAsync(client, badId));
        Assert.Equal("in_use", await StateAsync(client, goodId));
        await company.DeleteAsync("/control/keys", Cancelled);
        foreach (var id in new[] { badId, goodId })
        {
            using var retired = await client.DeleteAsync($"{Path}/{id}", Cancelled);
            Assert.Equal("retired", (await retired.JsonAsync()).GetProperty("state").GetString());
        }

        await Books.AssertTrueAsync(application);
    }

    [Theory]
    [InlineData("""{"name":"x"}""", "key", "missing_field")]
    [InlineData("""{"name":"x","key":"short"}""", "key", "invalid_value")]
    [InlineData("""{"name":"x","key":"has a space in it"}""", "key", "invalid_value")]
    [InlineData("""{"name":"configuration","key":"long-enough-key"}""", "name", "invalid_value")]
    [InlineData("""{"name":"x","key":"long-enough-key","requests_per_minute":0}""", "requests_per_minute", "invalid_value")]
    [InlineData("""{"name":"x","key":"long-enough-key","overlap":1}""", "overlap", "unknown_field")]
    public async Task A_key_that_cannot_be_taken_is_refused_by_field(string body, string param, string code)
    {
        using var client = application.Developer();
        using var response = await client.PostAsync(Path, new StringContent(body, System.Text.Encoding.UTF8, "application/json"), Cancelled);
        await response.ErrorAsync(HttpStatusCode.BadRequest, code, param);
        using var nobody = await client.PostAsJsonAsync("/v1/admin/providers/nobody/keys", new { name = "x", key = "long-enough-key" }, Cancelled);
        await nobody.ErrorAsync(HttpStatusCode.NotFound, "not_found", "name");
        using var user = application.Client(application.Token("acme", "bob"));
        using var forbidden = await user.GetAsync(Path, Cancelled);
        Assert.Equal(HttpStatusCode.Forbidden, forbidden.StatusCode);
    }

    private static async Task<List<HttpStatusCode>> LoadAsync(HttpClient client, CancellationToken stopping)
    {
        var statuses = new List<HttpStatusCode>();
        while (!stopping.IsCancellationRequested)
        {
            using var response = await client.ChatAsync("hello", "rotating-large");
            statuses.Add(response.StatusCode);
        }

        return statuses;
    }

    private static async Task<Guid> AddAsync(HttpClient client, string name, string key, Guid? replaces = null, int? overlapSeconds = null)
    {
        using var response = await client.PostAsJsonAsync(Path, new { name, key, replaces, overlap_seconds = overlapSeconds }, Cancelled);
        var text = await response.Content.ReadAsStringAsync(Cancelled);
        Assert.True(response.StatusCode == HttpStatusCode.Created, text);
        return JsonElement.Parse(text).GetProperty("id").GetGuid();
    }

    private static async Task<string?> StateAsync(HttpClient client, Guid id)
    {
        var list = await client.GetFromJsonAsync<JsonElement>(Path, Cancelled);
        return list.GetProperty("data").EnumerateArray().Single(k => k.GetProperty("id").ValueKind == JsonValueKind.String && k.GetProperty("id").GetGuid() == id).GetProperty("state").GetString();
    }

    private static async Task AcceptAsync(HttpClient company, params string[] keys)
    {
        using var response = await company.PutAsJsonAsync("/control/keys", new { accepted = (string[])["sim-key-openai", "sim-key-limited", .. keys] }, Cancelled);
        Assert.Equal(HttpStatusCode.NoContent, response.StatusCode);
    }
}
