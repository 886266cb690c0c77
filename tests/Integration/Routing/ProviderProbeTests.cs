using System.Net.Http.Json;
using System.Text.Json;
using AiAspire.Integration.Application;
using Aspire.Hosting.Testing;

namespace AiAspire.Integration.Routing;

[Collection(ApplicationCollection.Name)]
public sealed class ProviderProbeTests(RunningApplication application)
{
    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    [Trait("Checklist", "PROV-08")]
    public async Task Uptime_is_measured_by_probes_and_by_real_calls_and_stands_beside_the_sla()
    {
        using var client = application.Developer();
        using var company = application.App.CreateHttpClient("sim-anthropic");
        using (var served = await client.ChatAsync("hello", "sim-anthropic-small"))
            Assert.True(served.IsSuccessStatusCode);
        await Wait.UntilAsync("probes and attempts", async () => await HourAsync(client) is { Probes: > 0, Attempts: > 0 }, application, "workers");
        var before = await HourAsync(client);

        await company.PutAsJsonAsync("/control/outage", new { status = 503 }, Cancelled);
        // How many it takes depends on how many went well since the application started.
        await Wait.UntilAsync("enough failed probes", async () => await HourAsync(client) is { ProbePercent: < 99.5, SlaMet: false }, application, "workers");
        await company.DeleteAsync("/control/outage", Cancelled);

        var provider = await ProviderAsync(client);
        Assert.Equal(99.5, provider.GetProperty("sla_percent").GetDouble());
        var after = await HourAsync(client);
        Assert.True(after.Probes > before.Probes);
        Assert.Equal("simulator (anthropic wire)", provider.GetProperty("company").GetString(), ignoreCase: true);
        Assert.False(provider.GetProperty("key_rotation_due").GetBoolean());
    }

    private static async Task<JsonElement> ProviderAsync(HttpClient client)
        => (await client.GetFromJsonAsync<JsonElement>("/v1/admin/providers", Cancelled)).GetProperty("data").EnumerateArray()
            .Single(p => p.GetProperty("name").GetString() == "sim-anthropic");

    private static async Task<Hour> HourAsync(HttpClient client)
    {
        var hour = (await ProviderAsync(client)).GetProperty("uptime").EnumerateArray().Single(u => u.GetProperty("window").GetString() == "1h");
        var percent = hour.GetProperty("probe_percent");
        var met = hour.GetProperty("sla_met");
        return new Hour(
            hour.GetProperty("probes").GetInt64(),
            percent.ValueKind == JsonValueKind.Null ? null : percent.GetDouble(),
            hour.GetProperty("attempts").GetInt64(),
            met.ValueKind == JsonValueKind.True);
    }

    private sealed record Hour(long Probes, double? ProbePercent, long Attempts, bool SlaMet);
}
