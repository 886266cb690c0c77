using System.Net;
using System.Net.Http.Json;
using AiAspire.Integration.Application;

namespace AiAspire.Integration.Admin;

/// <summary>A tier is data: what it says of features, models and limits holds, and a change of it holds on every replica within five seconds.</summary>
[Collection(ApplicationCollection.Name)]
[Trait("Checklist", "AUTH-08")]
public sealed class TierTests(RunningApplication application)
{
    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    public async Task It_decides_features()
    {
        using var tenant = await AdministeredTenant.CreateAsync(application);
        using var client = await OfTierAsync(tenant, new { models = new[] { "*" }, features = new[] { "chat" } });
        client.DefaultRequestHeaders.Add("X-AiAspire-Feature", "summaries");
        await AnsweredAsync(client, "sim-small", HttpStatusCode.Forbidden, "feature_not_in_tier");
        await SetAsync(tenant, new { models = new[] { "*" }, features = new[] { "chat", "summ*" } });
        await AnsweredAsync(client, "sim-small", HttpStatusCode.OK);
        await SetAsync(tenant, new { models = new[] { "*" }, features = new[] { "chat" } });
        await AnsweredAsync(client, "sim-small", HttpStatusCode.Forbidden, "feature_not_in_tier");
    }

    [Fact]
    public async Task It_decides_models_and_lists_them()
    {
        using var tenant = await AdministeredTenant.CreateAsync(application);
        using var client = await OfTierAsync(tenant, new { models = new[] { "sim-small" }, features = new[] { "*" } });
        await AnsweredAsync(client, "sim-large", HttpStatusCode.NotFound, "model_not_found");
        await AnsweredAsync(client, "sim-small", HttpStatusCode.OK);
        Assert.DoesNotContain("sim-large", await client.GetStringAsync("/v1/models", Cancelled), StringComparison.Ordinal);
        await SetAsync(tenant, new { models = new[] { "sim-large*" }, features = new[] { "*" } });
        await AnsweredAsync(client, "sim-large", HttpStatusCode.OK);
        await AnsweredAsync(client, "sim-small", HttpStatusCode.NotFound, "model_not_found");
        Assert.Contains("sim-large", await client.GetStringAsync("/v1/models", Cancelled), StringComparison.Ordinal);
    }

    [Fact]
    public async Task It_decides_a_users_tokens_of_a_day_and_the_plan_decides_the_tenants()
    {
        using var tenant = await AdministeredTenant.CreateAsync(application);
        using var client = await OfTierAsync(tenant, Tier(tokensPerDay: 1));
        await AnsweredAsync(client, "sim-small", HttpStatusCode.TooManyRequests, "rate_limit_exceeded");
        await SetAsync(tenant, Tier(tokensPerDay: 100_000));
        await AnsweredAsync(client, "sim-small", HttpStatusCode.OK);
        await tenant.PatchAsync($"/v1/admin/tenants/{tenant.Id}", new { tokens_per_minute = 1 });
        await AnsweredAsync(client, "sim-small", HttpStatusCode.TooManyRequests, "rate_limit_exceeded");
        await tenant.PatchAsync($"/v1/admin/tenants/{tenant.Id}", new { tokens_per_minute = (int?)null });
        await AnsweredAsync(client, "sim-small", HttpStatusCode.OK);

        static object Tier(long tokensPerDay) => new { models = new[] { "*" }, features = new[] { "*" }, tokens_per_day = tokensPerDay };
    }

    [Fact]
    public async Task It_decides_how_much_is_answered_when_nothing_is_said()
    {
        using var tenant = await AdministeredTenant.CreateAsync(application);
        using var client = await OfTierAsync(tenant, new { models = new[] { "*" }, features = new[] { "*" }, default_max_output_tokens = 2 });
        await FinishedAsync("length");
        await SetAsync(tenant, new { models = new[] { "*" }, features = new[] { "*" }, default_max_output_tokens = 500 });
        await FinishedAsync("stop");

        Task FinishedAsync(string reason) => Wait.UntilAsync(
            $"an answer that ends for {reason}",
            async () =>
            {
                using var response = await client.ChatAsync("say exactly: one two three four five six seven eight", "sim-small");
                return response.IsSuccessStatusCode && (await response.JsonAsync()).GetProperty("choices")[0].GetProperty("finish_reason").GetString() == reason;
            },
            application,
            "api",
            Wait.EverywhereWithin);
    }

    [Fact]
    public async Task Set_many_times_at_once_it_is_one_tier_with_one_default_and_never_a_500()
    {
        using var tenant = await AdministeredTenant.CreateAsync(application);
        var answers = await Task.WhenAll(Enumerable.Range(0, 24).Select(async n =>
        {
            using var response = await tenant.Operator.PutAsJsonAsync(
                tenant.Path($"tiers/t{n % 3}"), new { models = new[] { "*" }, features = new[] { "*" }, is_default = true }, Cancelled);
            return response.StatusCode;
        }));
        Assert.Equal([HttpStatusCode.OK], answers.Distinct());
        await using var database = await application.OpenSuperuserAsync();
        Assert.Equal(3, await database.ScalarAsync<long>("SELECT count(*) FROM aiaspire.tiers WHERE tenant_id = $1", tenant.Id));
        Assert.Equal(1, await database.ScalarAsync<long>("SELECT count(*) FROM aiaspire.tiers WHERE tenant_id = $1 AND is_default", tenant.Id));
    }

    /// <summary>A client of a user in a tier of the tenant's own.</summary>
    private static async Task<HttpClient> OfTierAsync(AdministeredTenant tenant, object tier)
    {
        await SetAsync(tenant, tier);
        await tenant.PostAsync("users", new { external_id = "ann", tier = "own" });
        return tenant.As("ann");
    }

    private static async Task SetAsync(AdministeredTenant tenant, object tier)
    {
        using var put = await tenant.Operator.PutAsJsonAsync(tenant.Path("tiers/own"), tier, Cancelled);
        Assert.Equal(HttpStatusCode.OK, put.StatusCode);
    }

    private Task AnsweredAsync(HttpClient client, string model, HttpStatusCode status, string? code = null) => Wait.UntilAsync(
        $"{(int)status} for {model}",
        async () =>
        {
            using var response = await client.ChatAsync("hello", model);
            if (response.StatusCode != status)
                return false;
            if (code is not null)
                await response.ErrorAsync(status, code);
            return true;
        },
        application,
        "api",
        Wait.EverywhereWithin);
}
