using System.Net;
using System.Net.Http.Json;
using AiAspire.Integration.Admin;
using AiAspire.Integration.Application;
using Aspire.Hosting.Testing;

namespace AiAspire.Integration.Limits;

[Collection(ApplicationCollection.Name)]
public sealed class BudgetTests(RunningApplication application)
{
    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    [Trait("Checklist", "COST-04")]
    public async Task A_features_budget_stops_that_feature_and_says_which_how_much_and_when()
    {
        using var tenant = await AdministeredTenant.CreateAsync(application);
        using var user = tenant.As("ann");
        await tenant.PutAsync("budgets/summaries-a-day", new { scope = "feature", selector = "summaries", unit = "usd", period = "day", limit = 0.000001 });

        var refused = await UntilAsync(user, "summaries", HttpStatusCode.TooManyRequests);
        var error = await refused.ErrorAsync(HttpStatusCode.TooManyRequests, "insufficient_quota");

        Assert.Contains("summaries-a-day of $0.000001", error.GetProperty("message").GetString(), StringComparison.Ordinal);
        Assert.Equal("false", refused.Header("x-should-retry"));
        Assert.NotNull(refused.Headers.RetryAfter);
        using var other = await AskAsync(user, "translation");
        Assert.Equal(HttpStatusCode.OK, other.StatusCode);
        using var removed = await tenant.Operator.DeleteAsync(tenant.Path("budgets/summaries-a-day"), Cancelled);
        Assert.Equal(HttpStatusCode.NoContent, removed.StatusCode);
        Assert.Equal(HttpStatusCode.OK, (await UntilAsync(user, "summaries", HttpStatusCode.OK)).StatusCode);
    }

    [Fact]
    [Trait("Checklist", "COST-08")]
    public async Task A_tripping_budget_switches_the_feature_off_until_a_person_switches_it_on()
    {
        var feature = $"f-{Guid.CreateVersion7(TimeProvider.System.GetUtcNow()):n}";
        using var developer = application.Developer();
        using var set = await developer.PutAsJsonAsync(
            $"/v1/admin/budgets/{feature}?platform=true", new { scope = "feature", selector = feature, unit = "usd", period = "day", limit = 0.000001, action = "trip" }, Cancelled);
        Assert.Equal(HttpStatusCode.OK, set.StatusCode);

        // First the budget refuses, then the switch that it engages.
        var off = await UntilAsync(developer, feature, HttpStatusCode.ServiceUnavailable);
        await off.ErrorAsync(HttpStatusCode.ServiceUnavailable, "feature_disabled");
        using var raised = await developer.DeleteAsync($"/v1/admin/budgets/{feature}?platform=true", Cancelled);
        Assert.Equal(HttpStatusCode.NoContent, raised.StatusCode);
        using (var still = await AskAsync(developer, feature))
            await still.ErrorAsync(HttpStatusCode.ServiceUnavailable, "feature_disabled");

        using var on = await developer.PutAsJsonAsync($"/v1/admin/kill-switches/feature/{feature}", new { engaged = false }, Cancelled);
        Assert.Equal(HttpStatusCode.OK, on.StatusCode);
        Assert.Equal(HttpStatusCode.OK, (await UntilAsync(developer, feature, HttpStatusCode.OK)).StatusCode);
    }

    [Fact]
    [Trait("Checklist", "COST-05")]
    public async Task At_eighty_percent_the_tenant_is_told_by_mail_once()
    {
        using var tenant = await AdministeredTenant.CreateAsync(application);
        var address = $"cost-{tenant.Slug}@customer.example";
        await tenant.PutAsync("notifications", new { emails = new[] { address }, webhooks = Array.Empty<object>() });
        using var user = tenant.As("ann");
        // A call uses more than a tenth of it, so that the first is enough.
        await tenant.PutAsync("budgets/tokens-a-day", new { scope = "tenant", unit = "tokens", period = "day", limit = 100, soft_percent = 10 });
        for (var i = 0; i < 3; i++)
            (await AskAsync(user, "chat")).Dispose();

        // Made with the first mail of this run.
        var folder = Directory.CreateDirectory(Path.Combine(application.App.DataFolder, "mail")).FullName;
        string[] Mails() => [.. Directory.EnumerateFiles(folder, "*.eml").Select(File.ReadAllText).Where(m => m.Contains(address, StringComparison.Ordinal) && m.Contains("has reached", StringComparison.Ordinal))];
        await Wait.UntilAsync("the mail", () => Task.FromResult(Mails().Length > 0), application, "workers");
        (await AskAsync(user, "chat")).Dispose();
        await using var database = await application.OpenSuperuserAsync();
        Assert.Equal(1L, await database.ScalarAsync<long>("SELECT count(*) FROM aiaspire.notifications WHERE tenant_id = $1 AND dedup_key LIKE '%:soft'", tenant.Id));
        Assert.Contains("tokens-a-day", Assert.Single(Mails()), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("scope", """{"scope":"galaxy","unit":"usd","period":"day","limit":1}""")]
    [InlineData("limit", """{"scope":"tenant","unit":"usd","period":"day","limit":-1}""")]
    [InlineData("limit", """{"scope":"tenant","unit":"usd","period":"day"}""")]
    [InlineData("selector", """{"scope":"feature","unit":"usd","period":"day","limit":1}""")]
    [InlineData("action", """{"scope":"tenant","unit":"usd","period":"day","limit":1,"action":"trip"}""")]
    [InlineData("limt", """{"scope":"tenant","unit":"usd","period":"day","limt":1}""")]
    public async Task A_budget_that_makes_no_sense_is_refused_by_the_field(string field, string json)
    {
        using var client = application.Client(application.Token("acme", "budget-admin", "tenant_admin"));
        using var response = await client.PutAsync("/v1/admin/budgets/nonsense", new StringContent(json, null, "application/json"), Cancelled);

        await response.ErrorAsync(HttpStatusCode.BadRequest, param: field);
    }

    [Fact]
    public async Task The_platforms_budgets_are_the_operators()
    {
        using var client = application.Client(application.Token("globex", "budget-admin", "tenant_admin"));
        using var response = await client.PutAsJsonAsync("/v1/admin/budgets/all?platform=true", new { scope = "service", unit = "usd", period = "day", limit = 1 }, Cancelled);

        await response.ErrorAsync(HttpStatusCode.Forbidden, "insufficient_role");
    }

    [Fact]
    [Trait("Checklist", "COST-02")]
    public async Task When_redis_has_lost_the_counters_they_are_what_the_ledger_says()
    {
        using var tenant = await AdministeredTenant.CreateAsync(application);
        using var user = tenant.As("ann");
        for (var i = 0; i < 3; i++)
            (await AskAsync(user, "chat")).Dispose();
        using var last = await AskAsync(user, "chat");
        var (before, used) = (Remaining(last), (await last.JsonAsync()).GetProperty("usage").GetProperty("total_tokens").GetInt64());

        await application.App.RestartResourceAsync("redis", cancellationToken: Cancelled);
        long after = 0;
        await Wait.UntilAsync(
            "the counters to be there again",
            async () =>
            {
                using var response = await AskAsync(user, "chat");
                if (response.StatusCode == HttpStatusCode.OK)
                    after = Remaining(response);
                return response.StatusCode == HttpStatusCode.OK;
            },
            application,
            "api");

        // A call sees what is left beyond its own reservation, and settles to what it used: one call more, one call less left.
        Assert.Equal(before - used, after);
    }

    private static long Remaining(HttpResponseMessage response)
        => long.Parse(response.Header("x-ratelimit-remaining-tokens"), System.Globalization.CultureInfo.InvariantCulture);

    private static async Task<HttpResponseMessage> UntilAsync(HttpClient client, string feature, HttpStatusCode status)
    {
        var started = TimeProvider.System.GetTimestamp();
        while (true)
        {
            var response = await AskAsync(client, feature);
            if (response.StatusCode == status)
                return response;
            Assert.True(TimeProvider.System.GetElapsedTime(started) < Wait.EverywhereWithin, $"Waited {Wait.EverywhereWithin} for status {(int)status}; the last was {(int)response.StatusCode}.");
            response.Dispose();
        }
    }

    private static async Task<HttpResponseMessage> AskAsync(HttpClient client, string feature)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, "/v1/chat/completions") { Content = JsonContent.Create(Wire.Chat("say exactly: one two three")) };
        request.Headers.Add("X-AiAspire-Feature", feature);
        return await client.SendAsync(request, Cancelled);
    }
}
