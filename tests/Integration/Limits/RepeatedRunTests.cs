using System.Net;
using System.Net.Http.Json;
using AiAspire.Integration.Admin;
using AiAspire.Integration.Application;
using AiAspire.Integration.Jobs;
using Aspire.Hosting.Testing;
using StackExchange.Redis;

namespace AiAspire.Integration.Limits;

/// <summary>The counters beside the ledger, where work was done twice; and what is free where all is used up.</summary>
[Collection(ApplicationCollection.Name)]
public sealed class RepeatedRunTests(RunningApplication application)
{
    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(false, "aborted")]
    [InlineData(true, "abandoned")]
    [Trait("Checklist", "COST-01")]
    [Trait("Checklist", "LOAD-08")]
    public async Task After_a_repeated_run_the_counters_are_the_ledger(bool killed, string firstRun)
    {
        using var tenant = await AdministeredTenant.CreateAsync(application);
        using var ann = tenant.As("ann");
        using var bea = tenant.As("bea");
        // The platform's budgets count what providers bill.
        var budget = $"/v1/admin/budgets/repeated-{firstRun}?platform=true";
        using (var set = await tenant.Operator.PutAsJsonAsync(budget, new { scope = "user", unit = "usd", period = "day", limit = 1000 }, Cancelled))
            Assert.Equal(HttpStatusCode.OK, set.StatusCode);
        await using var database = await application.OpenSuperuserAsync();
        Task<long> OpenAsync() => database.ScalarAsync<long>($"SELECT count(*) FROM aiaspire.ledger_attempts WHERE tenant_id = '{tenant.Id}' AND outcome = 'Open'");
        // Slow enough that the worker, asked to stop, gives the job back in mid-stream.
        await using (await application.BehaveAsync("sim-reasoning", new { tokensPerSecond = 12 }))
        {
            var id = await ann.QueueChatAsync("say exactly: " + string.Join(' ', Enumerable.Range(0, 60)), "sim-reasoning", stream: true);
            var replica = await application.ReplicaOfAsync(id);
            await Wait.UntilAsync("the provider to be called", async () => await OpenAsync() == 1, application, "workers");
            await (killed ? application.App.KillResourceAsync("workers", replica, Cancelled) : application.App.StopResourceAsync("workers", replica));
            await application.App.StartResourceAsync("workers", replica, Cancelled);
            var job = await ann.OverAsync(id, application);
            Assert.Equal(("succeeded", 2), (job.Status(), job.GetProperty("tries").GetInt32()));
        }

        await Wait.UntilAsync("the first run to be closed", async () => await OpenAsync() == 0, application, "workers");
        var runs = await database.ListAsync(
            $"SELECT outcome, input_tokens + output_tokens, (provider_cost * 1000000000)::bigint FROM aiaspire.ledger_requests WHERE tenant_id = '{tenant.Id}' ORDER BY request_id",
            r => (Outcome: r.GetString(0), Tokens: r.GetInt64(1), Billed: r.GetInt64(2)));
        // The first run cost something, and its caller nothing.
        Assert.Equal([firstRun, "succeeded"], runs.Select(r => r.Outcome));
        Assert.True(runs[0].Billed > 0);
        Assert.Equal(0, runs[0].Tokens);
        var pseudonym = await database.ScalarAsync<Guid>($"SELECT DISTINCT user_pseudonym FROM aiaspire.ledger_requests WHERE tenant_id = '{tenant.Id}'");
        var budgetId = await database.ScalarAsync<Guid>("SELECT budget_id FROM aiaspire.budgets WHERE name = $1", $"repeated-{firstRun}");
        var (tokens, dollars) = (0L, 0L);
        await Wait.UntilAsync(
            "the counters to be the ledger",
            async () =>
            {
                // What a dead process had reserved is freed by the next call, whoever's it is.
                (await bea.ChatAsync("hello")).Dispose();
                (tokens, dollars) = (await CounterAsync($"{tenant.Id:N}:u:{pseudonym:N}:d:*"), await CounterAsync($"b:{budgetId:N}:{tenant.Id:N}:{pseudonym:N}:d:*"));
                return tokens == runs.Sum(r => r.Tokens) && dollars == runs.Sum(r => r.Billed);
            },
            application,
            "workers",
            seen: () => $"{tokens} tokens and {dollars} nano-dollars counted, for {string.Join(", ", runs)}");
        using var removed = await tenant.Operator.DeleteAsync(budget, Cancelled);
        Assert.Equal(HttpStatusCode.NoContent, removed.StatusCode);
    }

    [Fact]
    [Trait("Checklist", "COST-04")]
    public async Task A_free_check_of_content_is_made_when_the_tokens_are_used_up_and_not_when_it_is_switched_off()
    {
        using var tenant = await AdministeredTenant.CreateAsync(application);
        using var ann = tenant.As("ann");
        await tenant.PatchAsync($"/v1/admin/tenants/{tenant.Id}", new { tokens_per_day = 1 });
        await Wait.UntilAsync(
            "the limit to hold",
            async () =>
            {
                using var chat = await ann.ChatAsync("hello");
                return chat.StatusCode == HttpStatusCode.TooManyRequests;
            },
            application,
            "api");

        using (var check = await ModerateAsync(ann))
            Assert.Equal(HttpStatusCode.OK, check.StatusCode);
        using (var off = await tenant.Operator.PutAsJsonAsync($"/v1/admin/kill-switches/tenant/{tenant.Id}", new { engaged = true }, Cancelled))
            Assert.Equal(HttpStatusCode.OK, off.StatusCode);
        using (var check = await ModerateAsync(ann))
            await check.ErrorAsync(HttpStatusCode.ServiceUnavailable, "tenant_disabled");
    }

    private static Task<HttpResponseMessage> ModerateAsync(HttpClient client) => client.PostAsJsonAsync("/v1/moderations", new { input = "is this harmless?" }, Cancelled);

    /// <summary>What a counter of the generation in force says; -1 while there is none, as between an old generation and the next.</summary>
    private async Task<long> CounterAsync(string pattern)
    {
        await using var redis = await ConnectionMultiplexer.ConnectAsync((await application.App.GetConnectionStringAsync("redis"))!);
        var generation = await redis.GetDatabase().StringGetAsync("aia:lim:generation");
        var keys = new List<RedisKey>();
        await foreach (var key in redis.GetServers()[0].KeysAsync(pattern: $"aia:lim:{generation}:{pattern}"))
            keys.Add(key);
        // None yet, or that of the one window.
        return keys.Count == 0 ? -1 : (long)await redis.GetDatabase().StringGetAsync(Assert.Single(keys));
    }
}
