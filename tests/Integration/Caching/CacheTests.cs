using System.Net;
using System.Text.Json;
using AiAspire.Core.Models;
using AiAspire.Integration.Admin;
using AiAspire.Integration.Application;
using Aspire.Hosting.Testing;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using StackExchange.Redis;

namespace AiAspire.Integration.Caching;

[Collection(ApplicationCollection.Name)]
public sealed class CacheTests(RunningApplication application) : CachedCallTests(application)
{
    [Fact]
    [Trait("Checklist", "ARCH-03")]
    public async Task An_equal_call_is_answered_from_the_cache_whole_or_streamed_and_costs_nothing()
    {
        using var tenant = await AdministeredTenant.CreateAsync(Application);
        using var ann = tenant.As("ann");
        var question = Text();
        using var first = await AskAsync(ann, question);
        using var second = await AskAsync(ann, question);
        using var streamed = await AskAsync(ann, question, stream: true);

        Assert.Equal(("miss", "hit", "hit"), (Cache(first), Cache(second), Cache(streamed)));
        var text = (await first.JsonAsync()).Content();
        Assert.Equal(text, (await second.JsonAsync()).Content());
        var events = await streamed.EventsAsync();
        Assert.Equal("[DONE]", events[^1]);
        Assert.Equal(text, string.Concat(events.SkipLast(1).Select(e => JsonElement.Parse(e)).Select(TextOf)));
        Assert.Equal("0", second.Header("x-aiaspire-cost-usd"));
        Assert.False(second.Headers.Contains("x-aiaspire-attempts"));

        await using var database = await Application.OpenSuperuserAsync();
        var rows = await database.ListAsync(
            $"SELECT cache_hit, charged_cost, saved_cost, attempts, model FROM aiaspire.ledger_requests WHERE tenant_id = '{tenant.Id}' ORDER BY finished_at",
            row => (Hit: row.GetBoolean(0), Charged: row.GetDecimal(1), Saved: row.GetDecimal(2), Attempts: row.GetInt32(3), Model: row.GetString(4)));
        Assert.Equal([false, true, true], rows.Select(r => r.Hit));
        Assert.True(rows[0].Charged > 0);
        Assert.All(rows.Skip(1), r => Assert.Equal((0m, rows[0].Charged, 0, rows[0].Model), (r.Charged, r.Saved, r.Attempts, r.Model)));
    }

    [Fact]
    [Trait("Checklist", "ARCH-03")]
    public async Task A_streams_reply_answers_a_call_that_wants_it_whole()
    {
        using var tenant = await AdministeredTenant.CreateAsync(Application);
        using var ann = tenant.As("ann");
        var question = Text();
        using var streamed = await AskAsync(ann, question, stream: true);
        var text = string.Concat((await streamed.EventsAsync()).SkipLast(1).Select(e => JsonElement.Parse(e)).Select(TextOf));

        using var whole = await AskAsync(ann, question);

        Assert.Equal("hit", Cache(whole));
        var completion = await whole.JsonAsync();
        Assert.Equal(("chat.completion", text), (completion.GetProperty("object").GetString(), completion.Content()));
        Assert.True(completion.GetProperty("usage").GetProperty("total_tokens").GetInt32() > 0);
    }

    [Fact]
    [Trait("Checklist", "ARCH-03")]
    public async Task Neither_another_question_nor_another_feature_meets_the_entry()
    {
        using var tenant = await AdministeredTenant.CreateAsync(Application);
        using var ann = tenant.As("ann");
        var question = Text();
        (await AskAsync(ann, question)).Dispose();

        using var otherwise = await AskAsync(ann, question + "?");
        using var elsewhere = await AskAsync(ann, question, feature: "other");
        using var again = await AskAsync(ann, question, use: "no-store");
        using var unasked = await AskAsync(ann, question, use: null);

        Assert.Equal(("miss", "miss"), (Cache(otherwise), Cache(elsewhere)));
        Assert.Equal((null, null), (Cache(again), Cache(unasked)));
    }

    [Fact]
    [Trait("Checklist", "ARCH-03")]
    public async Task Of_twenty_equal_calls_at_once_one_goes_to_the_provider()
    {
        using var tenant = await AdministeredTenant.CreateAsync(Application);
        using var ann = tenant.As("ann");
        var question = Text();
        // The user exists before they come at once.
        (await AskAsync(ann, Text(), use: "no-store")).Dispose();

        var answers = await Task.WhenAll(Enumerable.Range(0, 20).Select(i => AskAsync(ann, question, stream: i % 2 == 0)));

        Assert.All(answers, a => Assert.Equal(HttpStatusCode.OK, a.StatusCode));
        Assert.Single(answers, a => Cache(a) == "miss");
        await using var database = await Application.OpenSuperuserAsync();
        Assert.Equal(2L, await database.ScalarAsync<long>($"SELECT count(*) FROM aiaspire.ledger_attempts WHERE tenant_id = '{tenant.Id}'"));
    }

    [Fact]
    [Trait("Checklist", "ARCH-03")]
    public async Task An_answer_that_a_limit_cut_short_is_not_kept()
    {
        using var tenant = await AdministeredTenant.CreateAsync(Application);
        using var ann = tenant.As("ann");
        var question = "say exactly: " + string.Join(' ', Enumerable.Range(100, 60));
        // Twenty tokens of answer are left.
        await tenant.PatchAsync($"/v1/admin/tenants/{tenant.Id}", new { tokens_per_day = TokenCounter.EstimateInput(JsonSerializer.SerializeToElement(Wire.Chat(question))) + 20 });
        Assert.Equal("length", await FinishAsync());

        await tenant.PatchAsync($"/v1/admin/tenants/{tenant.Id}", new { tokens_per_day = 1_000_000 });

        await Wait.UntilAsync("a whole answer", async () => await FinishAsync() == "stop", Application, "api", Wait.EverywhereWithin);

        async Task<string?> FinishAsync()
        {
            using var answer = await AskAsync(ann, question);
            return answer.StatusCode == HttpStatusCode.OK ? (await answer.JsonAsync()).GetProperty("choices")[0].GetProperty("finish_reason").GetString() : null;
        }
    }

    [Fact]
    [Trait("Checklist", "ARCH-03")]
    public async Task A_reply_that_is_kept_between_a_look_and_the_right_to_call_is_the_answer()
    {
        using var tenant = await AdministeredTenant.CreateAsync(Application);
        var key = (await tenant.AddKeyAsync(await tenant.AddUserAsync("ann"))).Key;
        var question = Text();
        string? between = null;
        await using var api = await InProcessApi.CreateAsync(
            Application,
            new Dictionary<string, string?>(StringComparer.Ordinal),
            services => services.Replace(ServiceDescriptor.Singleton(provider => RedisWithAPause.Of(
                ConnectionMultiplexer.Connect(provider.GetRequiredService<IConfiguration>().GetConnectionString("redis")!), nameof(IDatabase.LockTakeAsync), AskBetweenAsync))));
        using var ann = api.Client(key);

        using var answer = await AskAsync(ann, question);

        Assert.Equal(("miss", "hit"), (between, Cache(answer)));

        async Task AskBetweenAsync()
        {
            using var other = Application.Client(key);
            using var answered = await AskAsync(other, question);
            between = Cache(answered);
        }
    }

    [Fact]
    [Trait("Checklist", "PRIV-04")]
    public async Task Redis_tells_neither_the_question_nor_the_answer()
    {
        var canary = $"canary{Guid.CreateVersion7(TimeProvider.System.GetUtcNow()):n}";
        using var client = Application.Developer();
        using var answer = await AskAsync(client, $"say exactly: {canary}");
        Assert.Equal(canary, (await answer.JsonAsync()).Content());

        var settings = (await Application.App.GetConnectionStringAsync("redis"))!;
        await using var redis = await StackExchange.Redis.ConnectionMultiplexer.ConnectAsync(settings);
        var server = redis.GetServers()[0];
        var seen = 0;
        await foreach (var key in server.KeysAsync(pattern: "aia:cache:reply:*"))
        {
            seen++;
            Assert.DoesNotContain(canary, key.ToString(), StringComparison.Ordinal);
            Assert.Equal(-1, ((byte[]?)await redis.GetDatabase().StringGetAsync(key) ?? []).AsSpan().IndexOf(System.Text.Encoding.UTF8.GetBytes(canary)));
        }

        Assert.True(seen > 0);
    }

    [Fact]
    public async Task A_word_that_means_nothing_is_refused()
    {
        using var client = Application.Developer();
        using var response = await AskAsync(client, "hello", use: "maybe");

        await response.ErrorAsync(HttpStatusCode.BadRequest, param: "x-aiaspire-cache");
    }

    protected override Task<HttpResponseMessage> CallAsync(HttpClient client, string text) => AskAsync(client, text);

    private static string TextOf(JsonElement chunk)
        => chunk.GetProperty("choices") is { } choices && choices.GetArrayLength() > 0 && choices[0].GetProperty("delta").TryGetProperty("content", out var content)
            ? content.GetString() ?? ""
            : "";

    private static Task<HttpResponseMessage> AskAsync(HttpClient client, string question, bool stream = false, string feature = "chat", string? use = "use")
        => PostAsync(client, "/v1/chat/completions", Wire.Chat(question, stream: stream), use, feature);
}
