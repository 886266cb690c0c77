using System.Globalization;
using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using AiAspire.Integration.Application;
using Npgsql;

namespace AiAspire.Integration.Admin;

/// <summary>Models and prices by the administrative API, over the provider <c>sim-priced</c>.</summary>
[Collection(ApplicationCollection.Name)]
public sealed class ModelCatalogTests(RunningApplication application)
{
    private static readonly DateTimeOffset Tomorrow = TimeProvider.System.GetUtcNow().AddDays(1);

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    [Trait("Checklist", "PROV-04")]
    [Trait("Checklist", "PROV-09")]
    public async Task A_price_is_a_version_with_its_time_and_each_call_is_charged_by_the_one_in_force()
    {
        using var client = application.Developer();
        var id = await AddAsync(client, new { provider = "sim-priced", upstream_model = "sim-small", context_window = 1000 });
        using (var unpriced = await client.ChatAsync("hello", id))
            await unpriced.ErrorAsync(HttpStatusCode.ServiceUnavailable, "price_unknown");

        var key = Guid.CreateVersion7(TimeProvider.System.GetUtcNow()).ToString("N");
        var first = await PriceAsync(client, id, new { input = 1, output = 2 }, HttpStatusCode.Created, key);
        var replayed = await PriceAsync(client, id, new { input = 1, output = 2 }, HttpStatusCode.Created, key);
        Assert.Equal(first.GetProperty("id").GetGuid(), replayed.GetProperty("id").GetGuid());
        Assert.Equal((1m, 1m, 2m), (first.GetProperty("cached_input").GetDecimal(), first.GetProperty("cache_write").GetDecimal(), first.GetProperty("reasoning").GetDecimal()));
        await ChargedByAsync(client, id, first);

        // The threshold is one token: every call is above it.
        var second = await PriceAsync(
            client, id, new { input = 10, output = 20, long_context = new[] { new { above = 1, input = 30, output = 40 } } }, HttpStatusCode.Created);
        await ChargedByAsync(client, id, second, input: 30, output: 40);

        var versions = await PricesAsync(client, id);
        Assert.Equal(["in_force", "past"], versions.Select(v => v.GetProperty("state").GetString()));
        var operators = await AuditAsync("price.added");
        Assert.Contains(operators, e => e.GetProperty("target_id").GetString() == id && e.GetProperty("details").GetProperty("price_id").GetGuid() == second.GetProperty("id").GetGuid());
    }

    /// <summary>As servers of open models name them. Some SDKs escape the slash in a path and others do not.</summary>
    [Fact]
    [Trait("Checklist", "PROV-04")]
    public async Task An_id_may_hold_a_slash()
    {
        using var client = application.Developer();
        const string Escaped = "/v1/admin/models/meta-llama%2FLlama-3.1-8B";
        using (var added = await client.PutAsJsonAsync(Escaped, new { provider = "sim-priced", upstream_model = "sim-large" }, Cancelled))
            Assert.Equal("meta-llama/Llama-3.1-8B", (await added.JsonAsync()).GetProperty("id").GetString());
        foreach (var path in new[] { Escaped, "/v1/models/meta-llama%2FLlama-3.1-8B", "/v1/models/meta-llama/Llama-3.1-8B" })
        {
            using var found = await client.GetAsync(path, Cancelled);
            Assert.Equal("meta-llama/Llama-3.1-8B", (await found.JsonAsync()).GetProperty("id").GetString());
        }

        using (var prices = await client.GetAsync($"{Escaped}/prices", Cancelled))
            Assert.Equal("list", (await prices.JsonAsync()).GetProperty("object").GetString());
        using (var answer = await client.ChatAsync("hello", "meta-llama/Llama-3.1-8B"))
            Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        using (var off = await client.PutAsJsonAsync("/v1/admin/kill-switches/model/meta-llama%2FLlama-3.1-8B", new { engaged = true, reason = "a drill" }, Cancelled))
            Assert.Equal("model:meta-llama/Llama-3.1-8B", (await off.JsonAsync()).GetProperty("scope").GetString());
        using (var refused = await client.ChatAsync("hello", "meta-llama/Llama-3.1-8B"))
            await refused.ErrorAsync(HttpStatusCode.ServiceUnavailable, "model_disabled");
        using (await client.PutAsJsonAsync("/v1/admin/kill-switches/model/meta-llama%2FLlama-3.1-8B", new { engaged = false }, Cancelled))
        using (var removed = await client.DeleteAsync(Escaped, Cancelled))
            Assert.Equal(HttpStatusCode.NoContent, removed.StatusCode);
        using var gone = await client.GetAsync("/v1/models/meta-llama%2FLlama-3.1-8B", Cancelled);
        await gone.ErrorAsync(HttpStatusCode.NotFound, "model_not_found", "model");
    }

    [Fact]
    [Trait("Checklist", "PROV-09")]
    public async Task A_version_to_come_may_be_corrected_and_one_in_force_by_nobody()
    {
        using var client = application.Developer();
        const string Model = "priced-large";
        var inForce = (await PricesAsync(client, Model))[0].GetProperty("id").GetGuid();
        var scheduled = (await PriceAsync(client, Model, new { input = 3, output = 4, effective_from = Tomorrow }, HttpStatusCode.Created)).GetProperty("id").GetGuid();
        using (var taken = await PostAsync(client, Model, new { input = 5, output = 6, effective_from = Tomorrow }))
            await taken.ErrorAsync(HttpStatusCode.Conflict, "price_time_taken", "effective_from");

        using (var corrected = await client.PutAsJsonAsync($"/v1/admin/models/{Model}/prices/{scheduled}", new { input = 5, output = 6, effective_from = Tomorrow.AddDays(1) }, Cancelled))
        {
            var version = await corrected.JsonAsync();
            Assert.Equal((5m, "scheduled"), (version.GetProperty("input").GetDecimal(), version.GetProperty("state").GetString()));
        }

        using (var past = await client.PutAsJsonAsync($"/v1/admin/models/{Model}/prices/{inForce}", new { input = 5, output = 6, effective_from = Tomorrow }, Cancelled))
            await past.ErrorAsync(HttpStatusCode.Conflict, "price_in_force", "price_id");
        using (var past = await client.DeleteAsync($"/v1/admin/models/{Model}/prices/{inForce}", Cancelled))
            await past.ErrorAsync(HttpStatusCode.Conflict, "price_in_force", "price_id");

        // Not even by a fault of our own: the database refuses the role of the processes.
        await using (var app = await application.OpenAsAsync("aiaspire_app"))
        {
            await app.ExecuteAsync("SELECT set_config('app.tenant_id', '00000000-0000-7000-8000-000000000001', false), set_config('app.reach', 'service', false)");
            await Assert.ThrowsAsync<PostgresException>(() => app.ExecuteAsync("UPDATE aiaspire.model_prices SET input = 0"));
            Assert.Equal(0, await app.ExecuteAsync("DELETE FROM aiaspire.model_prices WHERE price_id = $1", inForce));
            var before = await Assert.ThrowsAsync<PostgresException>(() => app.ExecuteAsync(
                """
                INSERT INTO aiaspire.model_prices (tenant_id, price_id, provider, upstream_model, effective_from, input, cached_input, cache_write, output, reasoning, long_context, source, created_at, created_by)
                SELECT tenant_id, gen_random_uuid(), provider, upstream_model, effective_from - interval '1 day', 0, 0, 0, 0, 0, '[]', 'Api', now(), 'x' FROM aiaspire.model_prices WHERE price_id = $1
                """,
                inForce));
            Assert.Contains("row-level security", before.Message, StringComparison.Ordinal);
        }

        using (var withdrawn = await client.DeleteAsync($"/v1/admin/models/{Model}/prices/{scheduled}", Cancelled))
            Assert.Equal(HttpStatusCode.NoContent, withdrawn.StatusCode);
        Assert.DoesNotContain(await PricesAsync(client, Model), v => v.GetProperty("id").GetGuid() == scheduled);
    }

    [Theory]
    [InlineData("""{"output":1}""", "input", "missing_field")]
    [InlineData("""{"input":-1,"output":1}""", "input", "invalid_value")]
    [InlineData("""{"input":0.0000001,"output":1}""", "input", "invalid_value")]
    [InlineData("""{"input":1,"output":1,"price":1}""", "price", "unknown_field")]
    [InlineData("""{"input":1,"output":1,"effective_from":"2020-01-01T00:00:00Z"}""", "effective_from", "invalid_value")]
    [InlineData("""{"input":1,"output":1,"long_context":[{"above":5,"input":1,"output":1},{"above":5,"input":1,"output":1}]}""", "long_context[1].above", "invalid_value")]
    [InlineData("""{"input":1,"output":1,"long_context":[{"above":5,"input":1}]}""", "long_context[0].output", "missing_field")]
    [InlineData("""{"input":1,"output":1,"long_context":[{"above":5,"input":1,"output":1,"x":1}]}""", "long_context[0].x", "unknown_field")]
    public async Task A_price_that_makes_no_sense_is_refused_by_the_field(string json, string param, string code)
    {
        using var client = application.Developer();
        using var response = await client.PostAsync("/v1/admin/models/priced-large/prices", new StringContent(json, null, "application/json"), Cancelled);
        await response.ErrorAsync(HttpStatusCode.BadRequest, code, param);
    }

    [Theory]
    [InlineData("new-one", """{"context_window":5}""", "provider")]
    [InlineData("new-one", """{"provider":"nobody"}""", "provider")]
    [InlineData("new-one", """{"provider":"sim-priced","aliases":["sim-large"]}""", "aliases")]
    [InlineData("new-one", """{"provider":"sim-priced","capabilities":["telepathy"]}""", "capabilities")]
    [InlineData("new-one", """{"provider":"sim-priced","context_window":0}""", "context_window")]
    [InlineData("new-one", """{"provider":"sim-priced","sunset_at":"2030-01-01T00:00:00Z"}""", "sunset_at")]
    [InlineData("new-one", """{"provider":"sim-priced","replacement":"nothing"}""", "replacement")]
    [InlineData("new one", """{"provider":"sim-priced"}""", "id")]
    [InlineData("sim-embedding", """{"upstream_model":"another","vector_space":null}""", "vector_space")]
    public async Task A_model_that_makes_no_sense_is_refused_by_the_field(string id, string json, string param)
    {
        using var client = application.Developer();
        using var response = await client.PutAsync($"/v1/admin/models/{Uri.EscapeDataString(id)}", new StringContent(json, null, "application/json"), Cancelled);
        await response.ErrorAsync(HttpStatusCode.BadRequest, param: param);
    }

    [Fact]
    public async Task Only_an_operator_edits_the_catalog()
    {
        using var carol = application.Client(application.UserKey("carol"));
        using var put = await carol.PutAsJsonAsync("/v1/admin/models/sim-large", new { context_window = 5 }, Cancelled);
        using var price = await carol.PostAsJsonAsync("/v1/admin/models/sim-large/prices", new { input = 0, output = 0 }, Cancelled);
        Assert.Equal((HttpStatusCode.Forbidden, HttpStatusCode.Forbidden), (put.StatusCode, price.StatusCode));
    }

    [Fact]
    public async Task A_model_is_told_to_be_on_its_way_out_then_refused_and_its_versions_stay()
    {
        using var client = application.Developer();
        var since = TimeProvider.System.GetUtcNow().AddDays(-1);
        var id = await AddAsync(client, new { provider = "sim-priced", upstream_model = "sim-large", deprecated_at = since, sunset_at = Tomorrow, replacement = "sim-large" });
        using (var served = await client.ChatAsync("hello", id))
        {
            Assert.Equal(HttpStatusCode.OK, served.StatusCode);
            Assert.Equal($"@{since.ToUnixTimeSeconds()}", served.Header("Deprecation"));
            Assert.Equal(Tomorrow.ToString("R", CultureInfo.InvariantCulture), served.Header("Sunset"));
            Assert.Equal("sim-large", served.Header("x-aiaspire-replacement"));
        }

        var listed = (await client.GetFromJsonAsync<JsonElement>($"/v1/models/{id}", Cancelled)).GetProperty("deprecation");
        Assert.Equal("sim-large", listed.GetProperty("replacement").GetString());
        Assert.False((await client.GetFromJsonAsync<JsonElement>("/v1/models/sim-large", Cancelled)).TryGetProperty("deprecation", out _));

        await SetAsync(client, id, new { sunset_at = since.AddHours(1) });
        using (var refused = await client.ChatAsync("hello", id))
        {
            var error = await refused.ErrorAsync(HttpStatusCode.NotFound, "model_not_found", "model");
            Assert.Contains("Use `sim-large` instead", error.GetProperty("message").GetString(), StringComparison.Ordinal);
        }

        using (var gone = await client.GetAsync($"/v1/models/{id}", Cancelled))
            Assert.Equal(HttpStatusCode.NotFound, gone.StatusCode);
        using (var taken = await client.DeleteAsync($"/v1/admin/models/{id}", Cancelled))
            Assert.Equal(HttpStatusCode.NoContent, taken.StatusCode);
        var history = (await client.GetFromJsonAsync<JsonElement>($"/v1/admin/models/{id}/history", Cancelled)).GetProperty("data").EnumerateArray().ToList();
        Assert.Equal([(3, true), (2, false), (1, false)], history.Select(v => (v.GetProperty("version").GetInt32(), v.GetProperty("removed").GetBoolean())));
        Assert.Equal(Tomorrow.UtcDateTime, history[2].GetProperty("entry").GetProperty("sunset_at").GetDateTimeOffset().UtcDateTime, TimeSpan.FromMilliseconds(1));
        Assert.Equal(3, (await AuditAsync("catalog.changed")).Concat(await AuditAsync("catalog.removed")).Count(e => e.GetProperty("target_id").GetString() == id));
    }

    [Fact]
    [Trait("Checklist", "PROV-05")]
    public async Task Editing_interrupts_no_call()
    {
        using var client = application.Developer();
        var id = await AddAsync(client, new { provider = "sim-priced", upstream_model = "sim-large", aliases = new[] { $"alias-{Guid.CreateVersion7(TimeProvider.System.GetUtcNow()):n}" } });
        using var editing = CancellationTokenSource.CreateLinkedTokenSource(Cancelled);
        var edited = 0;
        var edits = Task.Run(
            async () =>
            {
                while (!editing.IsCancellationRequested)
                {
                    await SetAsync(client, id, new { requests_per_minute = 100_000 + edited, context_window = 2000 + edited });
                    await PriceAsync(client, "priced-large", new { input = 1, output = 4 }, HttpStatusCode.Created);
                    Interlocked.Increment(ref edited);
                }
            },
            Cancelled);
        var statuses = new List<HttpStatusCode>();
        for (var round = 0; round < 10 || (Volatile.Read(ref edited) < 4 && !edits.IsCompleted); round++)
        {
            var answers = await Task.WhenAll(Enumerable.Range(0, 8).Select(i => client.PostAsJsonAsync("/v1/chat/completions", Wire.Chat("hello", id, stream: i % 2 == 0), Cancelled)));
            statuses.AddRange(answers.Select(a => a.StatusCode));
            foreach (var answer in answers)
                answer.Dispose();
        }

        await editing.CancelAsync();
        await edits;
        Assert.All(statuses, s => Assert.Equal(HttpStatusCode.OK, s));
        Assert.True((await client.GetFromJsonAsync<JsonElement>($"/v1/admin/models/{id}", Cancelled)).GetProperty("requests_per_minute").GetInt32() > 100_000);
    }

    private static async Task<string> AddAsync(HttpClient client, object model)
    {
        var id = $"m-{Guid.CreateVersion7(TimeProvider.System.GetUtcNow()):n}";
        await SetAsync(client, id, model);
        return id;
    }

    private static async Task SetAsync(HttpClient client, string id, object model)
    {
        using var put = await client.PutAsJsonAsync($"/v1/admin/models/{id}", model, Cancelled);
        Assert.True(put.IsSuccessStatusCode, await put.Content.ReadAsStringAsync(Cancelled));
    }

    private static Task<HttpResponseMessage> PostAsync(HttpClient client, string id, object price, string? key = null)
    {
        var request = new HttpRequestMessage(HttpMethod.Post, $"/v1/admin/models/{id}/prices") { Content = JsonContent.Create(price) };
        if (key is not null)
            request.Headers.Add("Idempotency-Key", key);
        return client.SendAsync(request, Cancelled);
    }

    private static async Task<JsonElement> PriceAsync(HttpClient client, string id, object price, HttpStatusCode expected, string? key = null)
    {
        using var posted = await PostAsync(client, id, price, key);
        Assert.True(posted.StatusCode == expected, await posted.Content.ReadAsStringAsync(Cancelled));
        return await posted.JsonAsync();
    }

    private static async Task<List<JsonElement>> PricesAsync(HttpClient client, string id)
        => [.. (await client.GetFromJsonAsync<JsonElement>($"/v1/admin/models/{id}/prices", Cancelled)).GetProperty("data").EnumerateArray()];

    /// <summary>Within a second on the replica that answers; the call's cost and its row in the ledger say which version it was.</summary>
    private async Task ChargedByAsync(HttpClient client, string id, JsonElement price, decimal? input = null, decimal? output = null)
    {
        using var answer = await client.ChatAsync("hello there", id);
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        var usage = (await answer.JsonAsync()).GetProperty("usage");
        var cost = ((usage.GetProperty("prompt_tokens").GetInt64() * (input ?? price.GetProperty("input").GetDecimal()))
            + (usage.GetProperty("completion_tokens").GetInt64() * (output ?? price.GetProperty("output").GetDecimal()))) / 1_000_000m;
        Assert.Equal(cost, decimal.Parse(answer.Header("x-aiaspire-cost-usd"), CultureInfo.InvariantCulture));
        await using var database = await application.OpenSuperuserAsync();
        Assert.Equal(price.GetProperty("id").GetGuid(), await database.ScalarAsync<Guid>("SELECT price_id FROM aiaspire.ledger_attempts WHERE request_id = $1", Guid.Parse(answer.Header("x-request-id"))));
    }

    private async Task<List<JsonElement>> AuditAsync(string action)
    {
        await using var database = await application.OpenSuperuserAsync();
        return await database.ListAsync(
            "SELECT jsonb_build_object('target_id', target_id, 'details', details)::text FROM aiaspire.audit_entries WHERE tenant_id = '00000000-0000-7000-8000-000000000001' AND action = $1",
            row => JsonElement.Parse(row.GetString(0)),
            action);
    }
}
