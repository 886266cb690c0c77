using System.ClientModel;
using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using AiAspire.Integration.Admin;
using AiAspire.Integration.Application;
using AiAspire.Integration.Routing;
using Aspire.Hosting.Testing;
using OpenAI;
using OpenAI.Embeddings;
using OpenAI.Moderations;

namespace AiAspire.Integration.Chat;

/// <summary>Embeddings and moderations, with the official SDK and with plain HTTP: the same pipeline as chat.</summary>
[Collection(ApplicationCollection.Name)]
public sealed class EmbeddingTests(RunningApplication application)
{
    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    private OpenAIClient Sdk => new(new ApiKeyCredential(application.DeveloperKey), new OpenAIClientOptions { Endpoint = new Uri(application.Api, "/v1") });

    [Fact]
    public async Task The_sdk_gets_a_vector_for_each_text()
    {
        var client = Sdk.GetEmbeddingClient("sim-embedding");
        var many = (await client.GenerateEmbeddingsAsync(["red apple", "green apple", "red apple"], cancellationToken: Cancelled)).Value;
        var small = (await client.GenerateEmbeddingAsync("red apple", new EmbeddingGenerationOptions { Dimensions = 16 }, Cancelled)).Value;

        Assert.Equal([0, 1, 2], many.Select(e => e.Index));
        Assert.Equal(many[0].ToFloats().ToArray(), many[2].ToFloats().ToArray());
        Assert.NotEqual(many[0].ToFloats().ToArray(), many[1].ToFloats().ToArray());
        Assert.True(many.Usage.InputTokenCount >= 6);
        Assert.Equal(16, small.ToFloats().Length);
    }

    [Fact]
    public async Task The_sdk_gets_a_verdict_for_each_text()
    {
        var client = Sdk.GetModerationClient("sim-moderation");
        var verdicts = (await client.ClassifyTextAsync(["a nice day", "i will kill you"], Cancelled)).Value;

        Assert.Equal([false, true], verdicts.Select(v => v.Flagged));
    }

    [Fact]
    [Trait("Checklist", "PROV-09")]
    public async Task The_ledger_holds_what_the_company_bills_and_no_conversation()
    {
        using var client = application.Developer();
        using var embedded = await EmbedAsync(client, "a sentence of some words", "and another");
        using var moderated = await client.PostAsJsonAsync("/v1/moderations", new { input = "no model named" }, Cancelled);
        var usage = (await embedded.JsonAsync()).GetProperty("usage");

        Assert.Equal(HttpStatusCode.OK, moderated.StatusCode);
        Assert.Equal("sim-openai/sim-embedding;status=200", embedded.Header("x-aiaspire-attempts"));
        Assert.Equal("sim-openai/sim-moderation;status=200", moderated.Header("x-aiaspire-attempts"));
        Assert.False(embedded.Headers.Contains("x-aiaspire-conversation"));
        var tokens = usage.GetProperty("prompt_tokens").GetInt64();
        Assert.True(tokens > 0);
        Assert.Equal(tokens * 0.02m / 1_000_000m, decimal.Parse(embedded.Header("x-aiaspire-cost-usd"), System.Globalization.CultureInfo.InvariantCulture));
        Assert.Equal(("sim-embedding", "embeddings", tokens, 0L, "Provider", true), await LedgerAsync(embedded));
        Assert.Equal(("sim-moderation", "moderations", 0L, 0L, "Provider", true), await LedgerAsync(moderated));
        await Books.AssertTrueAsync(application);
    }

    [Fact]
    [Trait("Checklist", "PROV-03")]
    public async Task Another_target_serves_when_the_first_is_gone()
    {
        using var client = application.Developer();
        using var served = await client.PostAsJsonAsync("/v1/embeddings", new { model = "embeddings-anywhere", input = "x" }, Cancelled);

        Assert.Equal(HttpStatusCode.OK, served.StatusCode);
        Assert.Equal("sim-gone/sim-embedding;status=none;error=connection_failed, sim-openai/sim-embedding;status=200", served.Header("x-aiaspire-attempts"));
    }

    [Fact]
    [Trait("Checklist", "COST-01")]
    public async Task Tokens_count_against_the_users_day_and_the_limit_holds()
    {
        using var tenant = await AdministeredTenant.CreateAsync(application);
        using var user = tenant.As("ann");
        // The default tier's 10,000 tokens a day.
        var text = string.Concat(Enumerable.Repeat("some plain words ", 250));
        var left = new List<long>();
        HttpResponseMessage? refused = null;
        for (var i = 0; i < 20 && refused is null; i++)
        {
            var response = await EmbedAsync(user, text);
            if (response.StatusCode == HttpStatusCode.TooManyRequests)
            {
                refused = response;
                break;
            }

            Assert.Equal(HttpStatusCode.OK, response.StatusCode);
            left.Add(long.Parse(response.Header("x-ratelimit-remaining-tokens"), System.Globalization.CultureInfo.InvariantCulture));
            response.Dispose();
        }

        Assert.NotNull(refused);
        using (refused)
            await refused.ErrorAsync(HttpStatusCode.TooManyRequests, "rate_limit_exceeded");
        Assert.Equal(left.OrderDescending(), left);
        Assert.True(left.Count > 5, $"only {left.Count} calls of about 750 tokens went through");
        await using var database = await application.OpenSuperuserAsync();
        var used = await database.ScalarAsync<long>($"SELECT sum(input_tokens)::bigint FROM aiaspire.ledger_requests WHERE tenant_id = '{tenant.Id}'");
        Assert.InRange(used, 5_000, 10_000);
    }

    [Fact]
    [Trait("Checklist", "COST-04")]
    public async Task A_budget_of_the_feature_holds()
    {
        using var tenant = await AdministeredTenant.CreateAsync(application);
        using var user = tenant.As("ann");
        using var set = await tenant.Operator.PutAsJsonAsync(
            tenant.Path("budgets/embeddings-a-day"), new { scope = "feature", selector = "embeddings", unit = "usd", period = "day", limit = 0.0000001 }, Cancelled);
        Assert.Equal(HttpStatusCode.OK, set.StatusCode);
        var text = string.Concat(Enumerable.Repeat("some plain words ", 50));

        await Wait.UntilAsync(
            "the budget to refuse",
            async () =>
            {
                using var response = await EmbedAsync(user, text);
                return response.StatusCode == HttpStatusCode.TooManyRequests;
            },
            application,
            "api");
        using var refused = await EmbedAsync(user, text);
        var error = await refused.ErrorAsync(HttpStatusCode.TooManyRequests, "insufficient_quota");
        Assert.Contains("embeddings-a-day", error.GetProperty("message").GetString(), StringComparison.Ordinal);
    }

    [Fact]
    [Trait("Checklist", "ARCH-04")]
    public async Task A_repeat_with_the_same_key_costs_nothing()
    {
        using var client = application.Developer();
        client.DefaultRequestHeaders.Add("Idempotency-Key", Guid.CreateVersion7(TimeProvider.System.GetUtcNow()).ToString());
        using var first = await EmbedAsync(client, "once");
        using var second = await EmbedAsync(client, "once");

        Assert.Equal("true", second.Header("Idempotent-Replayed"));
        Assert.Equal(await first.Content.ReadAsStringAsync(Cancelled), await second.Content.ReadAsStringAsync(Cancelled));
    }

    [Fact]
    public async Task An_equal_request_is_answered_from_the_cache_when_asked_so()
    {
        using var client = application.Client(application.Token("acme", "embedder"));
        client.DefaultRequestHeaders.Add("x-aiaspire-cache", "use");
        using var first = await EmbedAsync(client, "twice");
        using var second = await EmbedAsync(client, "twice");
        using var other = await EmbedAsync(client, "thrice");

        Assert.Equal(("miss", "hit", "miss"), (first.Header("x-aiaspire-cache"), second.Header("x-aiaspire-cache"), other.Header("x-aiaspire-cache")));
        Assert.Equal((await first.JsonAsync()).GetProperty("data").GetRawText(), (await second.JsonAsync()).GetProperty("data").GetRawText());
        Assert.Equal("0", second.Header("x-aiaspire-cost-usd"));
    }

    [Theory]
    [InlineData("""{"model":"sim-embedding","input":""}""", "input", "empty_string")]
    [InlineData("""{"model":"sim-large","input":"x"}""", "model", "model_not_supported")]
    [InlineData("""{"model":"sim-anthropic-large","input":"x"}""", "model", "model_not_supported")]
    public async Task What_makes_no_sense_is_refused_by_the_field(string json, string param, string code)
    {
        using var client = application.Developer();
        using var response = await client.PostAsync("/v1/embeddings", new StringContent(json, null, "application/json"), Cancelled);

        await response.ErrorAsync(HttpStatusCode.BadRequest, code, param);
    }

    private static Task<HttpResponseMessage> EmbedAsync(HttpClient client, params string[] input)
        => client.PostAsJsonAsync("/v1/embeddings", new { model = "sim-embedding", input }, Cancelled);

    private async Task<(string Model, string Feature, long Input, long Output, string Source, bool Unconversed)> LedgerAsync(HttpResponseMessage response)
    {
        await using var database = await application.OpenSuperuserAsync();
        return Assert.Single(await database.ListAsync(
            """
            SELECT r.model, r.feature, r.input_tokens, r.output_tokens, a.usage_source,
                r.conversation_id IS NULL AND NOT EXISTS (SELECT FROM aiaspire.messages m WHERE m.tenant_id = r.tenant_id AND m.request_id = r.request_id)
            FROM aiaspire.ledger_requests r JOIN aiaspire.ledger_attempts a ON a.tenant_id = r.tenant_id AND a.request_id = r.request_id
            WHERE r.request_id = $1
            """,
            r => (r.GetString(0), r.GetString(1), r.GetInt64(2), r.GetInt64(3), r.GetString(4), r.GetBoolean(5)),
            Guid.Parse(response.Header("x-request-id"))));
    }
}
