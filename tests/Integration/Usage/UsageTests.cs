using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using AiAspire.Core.Data;
using AiAspire.Integration.Admin;
using AiAspire.Integration.Application;
using Aspire.Hosting.Testing;
using Npgsql;

namespace AiAspire.Integration.Usage;

[Collection(ApplicationCollection.Name)]
public sealed class UsageTests(RunningApplication application)
{
    private const string LedgerSumsSql =
        """
        SELECT (SELECT count(*) FROM aiaspire.ledger_requests WHERE tenant_id = $1), (SELECT count(*) FROM aiaspire.ledger_attempts WHERE tenant_id = $1 AND outcome <> 'Open'),
            (SELECT coalesce(sum(charged_cost), 0) FROM aiaspire.ledger_requests WHERE tenant_id = $1), (SELECT coalesce(sum(provider_cost), 0) FROM aiaspire.ledger_attempts WHERE tenant_id = $1),
            (SELECT coalesce(sum(input_tokens + cached_input_tokens + cache_write_tokens), 0) FROM aiaspire.ledger_requests WHERE tenant_id = $1)::bigint,
            (SELECT coalesce(sum(output_tokens), 0) FROM aiaspire.ledger_requests WHERE tenant_id = $1)::bigint
        """;

    private const string RollupSumsSql =
        """
        SELECT coalesce(sum(requests), 0)::bigint, coalesce(sum(attempts), 0)::bigint, coalesce(sum(charged_cost), 0), coalesce(sum(provider_cost), 0),
            coalesce(sum(input_tokens + cached_input_tokens + cache_write_tokens), 0)::bigint, coalesce(sum(output_tokens), 0)::bigint
        FROM aiaspire.usage_rollups WHERE tenant_id = $1 AND width = $2
        """;

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    [Trait("Checklist", "PROV-04")]
    [Trait("Checklist", "OBS-17")]
    [Trait("Checklist", "OBS-20")]
    [Trait("Checklist", "OBS-21")]
    public async Task Roll_ups_equal_the_ledger_while_it_grows_and_workers_die()
    {
        using var tenant = await AdministeredTenant.CreateAsync(application);
        await using var database = await application.OpenSuperuserAsync();
        using var user = tenant.As("ursula");
        var answered = 0;
        var load = Task.WhenAll(Enumerable.Range(0, 8).Select(async i =>
        {
            for (var round = 0; round < 8; round++)
            {
                using var request = new HttpRequestMessage(HttpMethod.Post, "/v1/chat/completions") { Content = JsonContent.Create(Wire.Chat($"call {i}/{round}", i % 2 == 0 ? "sim-small" : "sim-large")) };
                request.Headers.Add("X-AiAspire-Feature", i % 3 == 0 ? "search" : "draft");
                using var response = await user.SendAsync(request, Cancelled);
                if (response.StatusCode == HttpStatusCode.OK)
                    Interlocked.Increment(ref answered);
            }
        }));
        for (var kill = 0; kill < 4 && !load.IsCompleted; kill++)
            await application.App.KillResourceAsync("workers", kill % 2, Cancelled);

        await load;
        Assert.True(answered > 0);
        await EqualAsync(database, tenant.Id);

        // The API tells the same sums: the tenant its own, the operator's by tenant.
        var start = TimeProvider.System.GetUtcNow().AddHours(-1).ToUnixTimeSeconds();
        using var admin = tenant.As("adam", "tenant_admin");
        var own = Results(await admin.GetFromJsonAsync<JsonElement>($"/v1/usage?start_time={start}&bucket_width=1m&limit=1440&group_by=feature,model,tier", Cancelled)).ToList();
        var ledger = (await database.ListAsync(LedgerSumsSql, Sums, tenant.Id)).Single();
        Assert.Equal(ledger.Requests, own.Sum(r => r.GetProperty("num_model_requests").GetInt64()));
        Assert.Equal(ledger.Charged, own.Sum(r => r.GetProperty("cost").GetDecimal()));
        Assert.All(own, r => Assert.Equal(JsonValueKind.Null, r.GetProperty("provider_cost").ValueKind));
        Assert.Equal(["draft", "search"], own.Select(r => r.GetProperty("feature").GetString()).Distinct().Order(StringComparer.Ordinal));
        var all = Results(await tenant.Operator.GetFromJsonAsync<JsonElement>($"/v1/admin/usage?start_time={start}&bucket_width=1h&group_by=tenant", Cancelled));
        Assert.Equal(ledger.Provider, all.Where(r => r.GetProperty("tenant_id").GetGuid() == tenant.Id).Sum(r => r.GetProperty("provider_cost").GetDecimal()));
        using var csv = new HttpRequestMessage(HttpMethod.Get, $"/v1/usage?start_time={start}&bucket_width=1h&group_by=feature");
        csv.Headers.Accept.ParseAdd("text/csv");
        using var file = await admin.SendAsync(csv, Cancelled);
        Assert.Equal("text/csv", file.Content.Headers.ContentType?.MediaType);
        var lines = (await file.Content.ReadAsStringAsync(Cancelled)).Split("\r\n", StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal(ledger.Requests, lines.Skip(1).Sum(l => long.Parse(l.Split(',')[7], System.Globalization.CultureInfo.InvariantCulture)));
    }

    [Fact]
    [Trait("Checklist", "AUTH-06")]
    [Trait("Checklist", "INC-01d")]
    public async Task A_tenant_sees_its_own_usage_and_the_operator_who_spent_most()
    {
        using var tenant = await AdministeredTenant.CreateAsync(application);
        await using var database = await application.OpenSuperuserAsync();
        using (var spender = tenant.As("spender"))
        {
            for (var i = 0; i < 3; i++)
                using (await spender.ChatAsync($"expensive {i}"))
                {
                }
        }

        await EqualAsync(database, tenant.Id);
        using var empty = await AdministeredTenant.CreateAsync(application);
        using var stranger = empty.As("eve", "tenant_admin");
        var start = TimeProvider.System.GetUtcNow().AddHours(-2).ToUnixTimeSeconds();
        Assert.Empty(Results(await stranger.GetFromJsonAsync<JsonElement>($"/v1/usage?start_time={start}&bucket_width=1h", Cancelled)));
        Assert.Equal(0, (await stranger.GetFromJsonAsync<JsonElement>("/v1/usage/top-users", Cancelled)).GetProperty("data").GetArrayLength());
        using var refused = await stranger.GetAsync($"/v1/admin/usage?start_time={start}", Cancelled);
        await refused.ErrorAsync(HttpStatusCode.Forbidden);
        using var plain = tenant.As("spender");
        using var forbidden = await plain.GetAsync($"/v1/usage?start_time={start}", Cancelled);
        await forbidden.ErrorAsync(HttpStatusCode.Forbidden);

        var pseudonym = await database.ScalarAsync<Guid>("SELECT pseudonym FROM aiaspire.users WHERE tenant_id = $1 AND external_id = 'spender'", tenant.Id);
        using var admin = tenant.As("adam", "tenant_admin");
        var top = (await admin.GetFromJsonAsync<JsonElement>("/v1/usage/top-users", Cancelled)).GetProperty("data")[0];
        Assert.Equal(pseudonym, top.GetProperty("user_pseudonym").GetGuid());
        Assert.Equal(3, top.GetProperty("num_model_requests").GetInt64());
        var everyone = await tenant.Operator.GetFromJsonAsync<JsonElement>("/v1/admin/usage/top-users?limit=100", Cancelled);
        Assert.Contains(everyone.GetProperty("data").EnumerateArray(), u => u.GetProperty("user_pseudonym").GetGuid() == pseudonym && u.GetProperty("tenant_id").GetGuid() == tenant.Id);
    }

    [Fact]
    public async Task What_is_settled_long_after_its_minute_is_summed_too()
    {
        using var tenant = await AdministeredTenant.CreateAsync(application);
        await using var database = await application.OpenSuperuserAsync();
        // Two days old: no run looks back so far by itself. The second is then corrected to another model, as a settlement after the reconciler does.
        foreach (var age in new[] { 1, 48 })
        {
            var id = Guid.CreateVersion7(TimeProvider.System.GetUtcNow().AddHours(-age));
            await database.ExecuteAsync(
                """
                INSERT INTO aiaspire.ledger_requests (tenant_id, request_id, user_pseudonym, feature, tier, requested_model, model, provider, outcome, stream, attempts,
                    input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, provider_cost, charged_cost, cache_hit, saved_cost, started_at, finished_at, latency_ms)
                VALUES ($1, $2, $2, 'chat', 'free', 'm', NULL, NULL, 'abandoned', false, 1, 1, 2, 3, 4, 0, 0.000000001, 0.123456789, false, 0, now(), now(), 1234)
                """,
                tenant.Id, id);
            await EqualAsync(database, tenant.Id);
            await database.ExecuteAsync("UPDATE aiaspire.ledger_requests SET outcome = 'succeeded', model = 'm', provider = 'p', charged_cost = 0.5 WHERE tenant_id = $1 AND request_id = $2", tenant.Id, id);
            await EqualAsync(database, tenant.Id);
        }

        Assert.Equal(0, await database.ScalarAsync<long>("SELECT count(*) FROM aiaspire.usage_rollups WHERE tenant_id = $1 AND (model = '' OR requests = 0)", tenant.Id));
        Assert.Equal(4, await database.ScalarAsync<long>("SELECT count(*) FROM aiaspire.usage_rollups WHERE tenant_id = $1", tenant.Id));
    }

    [Theory]
    [InlineData("", "start_time")]
    [InlineData("start_time=yesterday", "start_time")]
    [InlineData("start_time=1750000000&bucket_width=1y", "bucket_width")]
    [InlineData("start_time=1750000000&group_by=user", "group_by")]
    [InlineData("start_time=1750000000&group_by=tenant", "group_by")]
    [InlineData("start_time=1750000000&limit=0", "limit")]
    [InlineData("start_time=1750000000&page=7", "page")]
    [InlineData("start_time=1750000000&end_time=1740000000", "end_time")]
    [InlineData("start_time=1750000000&bucket_width=1m&format=csv", "start_time")]
    [InlineData("start_time=1750000000&bucketwidth=1m", "bucketwidth")]
    public async Task A_bad_query_is_told_by_field(string query, string field)
    {
        using var client = application.Developer();
        using var response = await client.GetAsync($"/v1/usage?{query}", Cancelled);
        await response.ErrorAsync(HttpStatusCode.BadRequest, param: field);
    }

    [Fact]
    public async Task Pages_follow_one_another_without_gap_or_overlap()
    {
        using var client = application.Developer();
        var (start, end) = (1_750_000_000 / 3600 * 3600, (1_750_000_000 / 3600 * 3600) + (5 * 3600));
        var (starts, page) = (new List<long>(), "");
        for (var i = 0; i < 3; i++)
        {
            var answer = await client.GetFromJsonAsync<JsonElement>($"/v1/usage?start_time={start}&end_time={end}&bucket_width=1h&limit=2{page}", Cancelled);
            starts.AddRange(answer.GetProperty("data").EnumerateArray().Select(b => b.GetProperty("start_time").GetInt64()));
            Assert.Equal(i < 2, answer.GetProperty("has_more").GetBoolean());
            page = $"&page={answer.GetProperty("next_page").GetString()}";
        }

        Assert.Equal(Enumerable.Range(0, 5).Select(h => start + (h * 3600L)), starts);
    }

    /// <summary>Waits until minutes and hours equal the ledger, to the last digit.</summary>
    private async Task EqualAsync(NpgsqlConnection database, Guid tenant)
    {
        var seen = "";
        try
        {
            await Wait.UntilAsync(
                "the roll-ups to equal the ledger",
                async () =>
                {
                    var ledger = (await database.ListAsync(LedgerSumsSql, Sums, tenant)).Single();
                    var minutes = (await database.ListAsync(RollupSumsSql, Sums, tenant, "minute")).Single();
                    var hours = (await database.ListAsync(RollupSumsSql, Sums, tenant, "hour")).Single();
                    seen = $"ledger {ledger}, minutes {minutes}, hours {hours}";
                    return ledger == minutes && ledger == hours && ledger.Requests > 0;
                },
                application,
                "workers",
                // What a killed worker ran is taken over when the others miss it.
                TimeSpan.FromSeconds(90));
        }
        catch (TimeoutException e)
        {
            throw new TimeoutException($"{seen}\n{e.Message}", e);
        }
    }

    private static (long Requests, long Attempts, decimal Charged, decimal Provider, long Input, long Output) Sums(NpgsqlDataReader row)
        => (row.GetInt64(0), row.GetInt64(1), row.GetDecimal(2), row.GetDecimal(3), row.GetInt64(4), row.GetInt64(5));

    private static IEnumerable<JsonElement> Results(JsonElement page)
        => page.GetProperty("data").EnumerateArray().SelectMany(b => b.GetProperty("results").EnumerateArray());
}
