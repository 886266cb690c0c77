using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text;
using AiAspire.AppHost;
using AiAspire.Integration.Application;
using AiAspire.Integration.Jobs;
using AiAspire.Load.Gateway;
using Aspire.Hosting.Testing;
using Npgsql;

namespace AiAspire.Integration.Gateway;

/// <summary>The gateway on two replicas: the chaos run of tests/Load in a short form, and the budget for one.</summary>
[Collection(CrashCollection.Name)]
public sealed class GatewayChaosTests(TwoReplicas replicas) : IClassFixture<TwoReplicas>
{
    private const int Cap = 100;
    private static readonly TimeSpan SpansWithin = TimeSpan.FromSeconds(30);

    private static readonly GatewayChaosOptions Short = new(
        Length: TimeSpan.FromSeconds(24), Callers: 8, FaultLength: TimeSpan.FromSeconds(1), Calm: TimeSpan.FromSeconds(0.8), ApiKills: 2, RedisKills: 1, DatabaseRestarts: 1);

    /// <summary>Longer than the cap: what is used is what was reserved, but for the guess at the input.</summary>
    private static readonly object Ask = new
    {
        model = "sim-small",
        max_completion_tokens = Cap,
        messages = new[] { new { role = "user", content = "say exactly: " + string.Join(' ', Enumerable.Range(0, 200)) } },
    };

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    [Trait("Checklist", "PROV-03")]
    [Trait("Checklist", "PROV-04")]
    [Trait("Checklist", "PROV-09")]
    [Trait("Checklist", "COST-03")]
    [Trait("Checklist", "LOAD-08")]
    public async Task Failing_providers_killed_replicas_a_killed_redis_a_restarted_database_and_leaving_callers_cost_no_answer_and_no_truth()
    {
        await using var run = new GatewayChaosRun(replicas.App, Short, TimeProvider.System, TestContext.Current.SendDiagnosticMessage);

        var result = await run.RunAsync(Cancelled);

        Assert.True(!result.Faults().Any(), result.ToMarkdown());
    }

    [Fact]
    [Trait("Checklist", "COST-03")]
    [Trait("Checklist", "COST-07")]
    public async Task Of_200_parallel_calls_on_two_replicas_against_a_budget_for_one_exactly_one_passes()
    {
        // What a call reserves, by one that has room.
        using var roomy = await TenantAsync("roomy", 1_000_000);
        using var measured = await roomy.PostAsJsonAsync("/v1/chat/completions", Ask, Cancelled);
        Assert.True(measured.StatusCode == HttpStatusCode.OK, await measured.Content.ReadAsStringAsync(Cancelled));
        var budget = long.Parse(measured.Header("x-ratelimit-limit-tokens"), CultureInfo.InvariantCulture)
            - long.Parse(measured.Header("x-ratelimit-remaining-tokens"), CultureInfo.InvariantCulture);
        using var tight = await TenantAsync("tight", budget);

        var answers = await Task.WhenAll(Enumerable.Range(0, 200).Select(async i =>
        {
            using var answer = await tight.PostAsJsonAsync(new Uri(replicas.App.GetReplicaEndpoint("api", i % 2), "/v1/chat/completions"), Ask, Cancelled);
            return (answer.StatusCode, Code: answer.StatusCode == HttpStatusCode.OK ? null : (await answer.JsonAsync()).GetProperty("error").GetProperty("code").GetString());
        }));

        Assert.Single(answers, a => a.StatusCode == HttpStatusCode.OK);
        Assert.All(answers.Where(a => a.StatusCode != HttpStatusCode.OK), a => Assert.Equal((HttpStatusCode.TooManyRequests, "rate_limit_exceeded"), a));
        await using var database = NpgsqlDataSource.Create((await replicas.App.GetConnectionStringAsync("aiaspire", Cancelled))!);
        await using var command = database.CreateCommand("SELECT count(*) FROM aiaspire.ledger_requests r JOIN aiaspire.tenants t USING (tenant_id) WHERE t.slug = 'tight'");
        Assert.Equal(1L, await command.ExecuteScalarAsync(Cancelled));
    }

    [Fact]
    [Trait("Checklist", "ARCH-02")]
    public async Task A_switch_that_is_thrown_at_one_replica_is_told_to_the_other_which_does_not_wait_to_ask()
    {
        using var client = await TenantAsync("switched", 1_000_000);
        using var admin = Admin();
        using (var served = await AskAsync(1))
            Assert.Equal(HttpStatusCode.OK, served.StatusCode);
        // It asks by itself every five seconds. One change might meet that moment; six within four seconds each do so only when they are told to it.
        for (var change = 0; change < 6; change++)
        {
            var (engaged, status) = change % 2 == 0 ? (true, HttpStatusCode.ServiceUnavailable) : (false, HttpStatusCode.OK);
            using var set = await admin.PutAsJsonAsync(
                new Uri(replicas.App.GetReplicaEndpoint("api", 0), "/v1/admin/kill-switches/feature/drill"), new { engaged, reason = "a drill" }, Cancelled);
            Assert.Equal(HttpStatusCode.OK, set.StatusCode);
            var (seen, started) = (default(HttpStatusCode), Stopwatch.GetTimestamp());
            do
            {
                using var answer = await AskAsync(1);
                seen = answer.StatusCode;
            }
            while (seen != status && Stopwatch.GetElapsedTime(started) < TimeSpan.FromSeconds(4));
            Assert.Equal(status, seen);
        }

        async Task<HttpResponseMessage> AskAsync(int replica)
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, new Uri(replicas.App.GetReplicaEndpoint("api", replica), "/v1/chat/completions")) { Content = JsonContent.Create(Ask) };
            request.Headers.Add("X-AiAspire-Feature", "drill");
            return await client.SendAsync(request, Cancelled);
        }
    }

    [Fact]
    [Trait("Checklist", "OBS-12")]
    [Trait("Checklist", "OBS-13")]
    [Trait("Checklist", "OBS-14")]
    [Trait("Checklist", "OBS-16")]
    public async Task A_call_and_a_job_are_one_trace_from_the_edge_through_the_queue_to_the_database_without_a_word_of_the_prompt()
    {
        using var client = await TenantAsync("traced", 1_000_000);
        var trace = ActivityTraceId.CreateRandom();
        foreach (var (path, body) in new (string, object)[] { ("/v1/chat/completions", Ask), ("/v1/jobs", new { request = Ask }) })
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, path) { Content = JsonContent.Create(body) };
            request.Headers.Add("traceparent", $"00-{trace}-b7ad6b7169203331-01");
            using var answer = await client.SendAsync(request, Cancelled);
            Assert.True(answer.IsSuccessStatusCode, await answer.Content.ReadAsStringAsync(Cancelled));
        }

        var id = Convert.FromHexString(trace.ToHexString());
        foreach (var name in new[]
        {
            // The edge, the steps, the call of the model, the database, and the job in a worker.
            "POST /v1/chat/completions", "chat.settle", "chat.limit", "chat.route", "chat sim-small", "gen_ai.request.model", "gen_ai.usage.output_tokens",
            "gen_ai.conversation.id", "aiaspire.cost_usd", "postgresql", "process chat.completion",
        })
            await ArrivedAsync(name, batch => batch.AsSpan().IndexOf(id) >= 0 && Has(batch, name));
        Assert.DoesNotContain(replicas.Collector.Batches, b => Has(b, "say exactly"));

        static bool Has(byte[] batch, string text) => batch.AsSpan().IndexOf(Encoding.UTF8.GetBytes(text)) >= 0;
    }

    private async Task ArrivedAsync(string what, Func<byte[], bool> which)
    {
        var started = TimeProvider.System.GetTimestamp();
        while (!replicas.Collector.Batches.Any(which))
        {
            Assert.True(TimeProvider.System.GetElapsedTime(started) < SpansWithin, $"Waited {SpansWithin.TotalSeconds} s for spans of {what}; {replicas.Collector.Batches.Count} batches came.");
            await Task.Delay(TimeSpan.FromMilliseconds(100), TimeProvider.System, Cancelled);
        }
    }

    private HttpClient Admin()
    {
        var admin = replicas.App.CreateHttpClient("api");
        admin.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", DevelopmentSecrets.In(replicas.App.DataFolder).ApiKey);
        return admin;
    }

    private async Task<HttpClient> TenantAsync(string slug, long tokensPerDay)
    {
        var secrets = DevelopmentSecrets.In(replicas.App.DataFolder);
        using (var admin = Admin())
        {
            using var made = await admin.PostAsJsonAsync("/v1/admin/tenants", new { slug, name = slug, tokens_per_day = tokensPerDay }, Cancelled);
            Assert.True(made.StatusCode == HttpStatusCode.Created, await made.Content.ReadAsStringAsync(Cancelled));
        }

        using var issuer = secrets.IssuerKey();
        var client = replicas.App.CreateHttpClient("api");
        client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", TokenVerb.Sign(issuer, slug, "ann", ["user"], TimeSpan.FromMinutes(10), TimeProvider.System));
        return client;
    }
}
