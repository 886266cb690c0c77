using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using AiAspire.Integration.Application;
using Aspire.Hosting.Testing;

namespace AiAspire.Integration.Routing;

/// <summary>The catalog says 600 requests a minute of <c>limited-small</c>, and so does the Simulator behind it.</summary>
[Collection(ApplicationCollection.Name)]
public sealed class ProviderLimitTests(RunningApplication application)
{
    private const int PerMinute = 600;

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    [Trait("Checklist", "PROV-05")]
    public async Task Far_more_requests_than_the_limit_spread_or_queue_and_draw_no_429()
    {
        using var client = application.Developer();
        using var company = application.App.CreateHttpClient("sim-openai");
        using (var set = await company.PutAsJsonAsync("/control/models/sim-small/behaviour", new { requestsPerMinute = PerMinute }, Cancelled))
            Assert.True(set.IsSuccessStatusCode);
        var refused = await RefusedAsync(company);

        // 1,000 at once, as in 10,000 a minute: what the first company's limit does not hold goes to the other.
        var spread = await AskAsync(client, "limited", 1_000);
        Assert.Contains(spread, a => a.StartsWith("sim-limited/", StringComparison.Ordinal));
        Assert.Contains(spread, a => a.StartsWith("sim-anthropic/", StringComparison.Ordinal));
        // With nowhere else to go they wait their turn.
        var queued = await AskAsync(client, "limited-small", 100);
        Assert.All(queued, a => Assert.Equal("sim-limited/sim-small;status=200", a));

        Assert.Equal(refused, await RefusedAsync(company));
        await company.DeleteAsync("/control/behaviour", Cancelled);
        await Books.AssertTrueAsync(application);
    }

    private static async Task<List<string>> AskAsync(HttpClient client, string model, int count)
    {
        var attempts = new List<string>();
        await Parallel.ForEachAsync(Enumerable.Range(0, count), new ParallelOptions { MaxDegreeOfParallelism = 64, CancellationToken = Cancelled }, async (_, _) =>
        {
            using var response = await client.ChatAsync("hello", model);
            Assert.True(response.StatusCode == HttpStatusCode.OK, await response.Content.ReadAsStringAsync(Cancelled));
            lock (attempts)
                attempts.Add(response.Header("x-aiaspire-attempts"));
        });
        return attempts;
    }

    private static async Task<long> RefusedAsync(HttpClient company)
    {
        var models = await company.GetFromJsonAsync<JsonElement>("/control/stats", Cancelled);
        return models.TryGetProperty("sim-small", out var small) && small.GetProperty("faults").TryGetProperty("rate_limit", out var count) ? count.GetInt64() : 0;
    }
}
