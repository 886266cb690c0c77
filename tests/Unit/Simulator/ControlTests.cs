using System.Net.Http.Json;
using System.Text.Json;

namespace AiAspire.Unit.Simulation;

public sealed class ControlTests(SharedCompanies companies) : IClassFixture<SharedCompanies>
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("""{"eror_rates":{}}""", "eror_rates")]
    [InlineData("""{"errorRates":{"200":0.1}}""", "errorRates.200")]
    [InlineData("""{"errorRates":{"500":0.6,"429":0.6}}""", "errorRates")]
    [InlineData("""{"errorRates":{"500":1.1}}""", "errorRates.500")]
    [InlineData("""{"errorCount":-1}""", "errorCount")]
    [InlineData("""{"errorStatus":200}""", "errorStatus")]
    [InlineData("""{"tokensPerSecond":"fast"}""", "tokensPerSecond")]
    [InlineData("""{"timeToFirstTokenMs":-1}""", "timeToFirstTokenMs")]
    [InlineData("""{"requestsPerMinute":0}""", "requestsPerMinute")]
    [InlineData("""{"tokensPerMinute":1.5}""", "tokensPerMinute")]
    [InlineData("""{"cutAfterChunks":-1}""", "cutAfterChunks")]
    [InlineData("""{"qualityDrift":2}""", "qualityDrift")]
    [InlineData("""{"missingUsage":1}""", "missingUsage")]
    [InlineData("""{"seed":0.5}""", "seed")]
    [InlineData("""{"latency":5}""", "latency")]
    [InlineData("""{"latency":{"kind":"gamma"}}""", "latency.kind")]
    [InlineData("""{"latency":{"kind":"fixed"}}""", "latency.ms")]
    [InlineData("""{"latency":{"kind":"fixed","ms":1,"p50Ms":2}}""", "latency.p50Ms")]
    [InlineData("""{"latency":{"kind":"lognormal","p50Ms":20,"p99Ms":10}}""", "latency.p99Ms")]
    [InlineData("""{"latency":{"kind":"uniform","minMs":20,"maxMs":10}}""", "latency.maxMs")]
    [InlineData("{", null)]
    public async Task A_behaviour_that_cannot_be_taken_names_its_field_and_changes_nothing(string body, string? field)
    {
        var company = companies.OpenAi;
        var before = (await company.GetAsync("/control/behaviour")).GetRawText();
        using var response = await company.Client.PutAsync("/control/behaviour", new StringContent(body), Cancellation);
        Assert.Equal(400, (int)response.StatusCode);
        Assert.Equal(field, (await response.Content.ReadFromJsonAsync<JsonElement>(Cancellation)).GetProperty("field").GetString());
        Assert.Equal(before, (await company.GetAsync("/control/behaviour")).GetRawText());
    }

    [Fact]
    public async Task A_behaviour_can_be_read_put_back_and_reset_to_the_configured_one()
    {
        await using var company = await SimulatedCompany.OpenAiAsync("--Simulator:Behaviours:sim-large:Latency:Kind=lognormal", "--Simulator:Behaviours:sim-large:Latency:P50Ms=0.5",
            "--Simulator:Behaviours:sim-large:Latency:P99Ms=2", "--Simulator:Behaviours:sim-large:ErrorRates:503=0.25");
        var configured = await company.GetAsync("/control/models/sim-large/behaviour");
        Assert.Equal("lognormal", configured.GetProperty("latency").GetProperty("kind").GetString());
        Assert.Equal(0.25, configured.GetProperty("errorRates").GetProperty("503").GetDouble());
        await company.BehaveAsync(configured, "sim-reasoning");
        Assert.Equal(configured.GetRawText(), (await company.GetAsync("/control/models/sim-reasoning/behaviour")).GetRawText());

        await company.BehaveAsync(new { qualityDrift = 1 });
        using var reset = await company.Client.DeleteAsync("/control/behaviour", Cancellation);
        Assert.Equal(configured.GetRawText(), (await company.GetAsync("/control/models/sim-large/behaviour")).GetRawText());
        Assert.Equal(0.3, (await company.GetAsync("/control/models/sim-small/behaviour")).GetProperty("qualityDrift").GetDouble());
        Assert.Equal(0, (await company.GetAsync("/control/models/sim-reasoning/behaviour")).GetProperty("qualityDrift").GetDouble());
        using var unknown = await company.Client.DeleteAsync("/control/models/no-such/behaviour", Cancellation);
        Assert.Equal(404, (int)unknown.StatusCode);
    }

    [Fact]
    public async Task A_company_can_take_listed_keys_only_and_be_down_altogether()
    {
        await using var company = await SimulatedCompany.OpenAiAsync();
        async Task<int> PutAsync(string path, object body)
        {
            using var response = await company.Client.PutAsJsonAsync(path, body, Cancellation);
            return (int)response.StatusCode;
        }

        async Task<int> StatusAsync(string path)
        {
            using var response = await company.Client.GetAsync(path, Cancellation);
            return (int)response.StatusCode;
        }

        Assert.Equal(204, await PutAsync("/control/keys", new { accepted = new[] { "another-key" } }));
        Assert.Equal("invalid_api_key", (await company.PostAsync(Chat.Path, Chat.Request("hello"), 401)).GetProperty("error").GetProperty("code").GetString());
        Assert.Equal(401, await StatusAsync("/v1/models"));
        Assert.Equal(204, await PutAsync("/control/keys", new { accepted = new[] { SimulatedCompany.Key } }));
        await company.PostAsync(Chat.Path, Chat.Request("hello"));

        Assert.Equal(204, await PutAsync("/control/outage", new { status = 503 }));
        await company.PostAsync(Chat.Path, Chat.Request("hello"), 503);
        Assert.Equal(503, await StatusAsync("/v1/models"));
        Assert.Equal(200, await StatusAsync("/health"));
        using var ended = await company.Client.DeleteAsync("/control/outage", Cancellation);
        Assert.Equal(200, await StatusAsync("/v1/models"));

        Assert.Equal(400, await PutAsync("/control/keys", new { accepted = "one" }));
        Assert.Equal(400, await PutAsync("/control/keys", new { keys = new[] { "one" } }));
        Assert.Equal(400, await PutAsync("/control/outage", new { status = 200 }));
    }

    [Fact]
    public async Task A_configured_behaviour_that_cannot_be_taken_stops_the_start()
    {
        var error = await Assert.ThrowsAsync<InvalidOperationException>(() => SimulatedCompany.OpenAiAsync("--Simulator:Behaviours:sim-large:QualityDrift=7"));
        Assert.Contains("Simulator:Behaviours:sim-large", error.Message, StringComparison.Ordinal);
        Assert.Contains("qualityDrift", error.Message, StringComparison.Ordinal);
        await Assert.ThrowsAnyAsync<Exception>(() => SimulatedCompany.StartAsync("google", null));
    }

    [Fact]
    public async Task The_control_key_guards_everything_under_control_and_nothing_else()
    {
        await using var company = await SimulatedCompany.OpenAiAsync("--Simulator:ControlKey=open sesame");
        using var without = await company.Client.GetAsync("/control/bill", Cancellation);
        Assert.Equal(401, (int)without.StatusCode);
        company.Client.DefaultRequestHeaders.Add("x-control-key", "open sesame");
        await company.GetAsync("/control/bill");
        Assert.Equal("Healthy", await company.Client.GetStringAsync("/health", Cancellation));
        Assert.Equal("Alive", await company.Client.GetStringAsync("/alive", Cancellation));
    }

    [Fact]
    public async Task What_was_received_can_be_searched_even_when_it_was_escaped()
    {
        await using var company = await SimulatedCompany.OpenAiAsync();
        await company.PostAsync(Chat.Path, new StringContent("""{"model":"sim-large","messages":[{"role":"user","content":"call M\u00fcller at +49\t170"}]}"""), 200, ("x-trace", "trace-77"));
        await company.PostAsync(Chat.Path, Chat.Request("nothing to see"));

        async Task<JsonElement> FindAsync(string text) => await company.GetAsync($"/control/received?contains={Uri.EscapeDataString(text)}");
        Assert.Single((await FindAsync("Müller")).GetProperty("requests").EnumerateArray());
        Assert.Single((await FindAsync("+49\t170")).GetProperty("requests").EnumerateArray());
        Assert.Single((await FindAsync("trace-77")).GetProperty("requests").EnumerateArray());
        Assert.Equal(2, (await FindAsync("")).GetProperty("requests").GetArrayLength());
        Assert.Empty((await FindAsync("Meier")).GetProperty("requests").EnumerateArray());
        Assert.Empty((await FindAsync(SimulatedCompany.Key)).GetProperty("requests").EnumerateArray());
        Assert.Equal("…6789", (await FindAsync("trace-77")).GetProperty("requests")[0].GetProperty("headers").GetProperty("Authorization").GetString());
        using var cleared = await company.Client.DeleteAsync("/control/received", Cancellation);
        Assert.Equal(0, (await FindAsync("")).GetProperty("searched").GetInt32());
    }

    [Fact]
    public async Task The_record_of_requests_is_bounded_by_number_and_bytes_and_can_be_off()
    {
        await using var few = await SimulatedCompany.OpenAiAsync("--Simulator:ReceivedCapacity=3");
        for (var i = 0; i < 5; i++) await few.PostAsync(Chat.Path, Chat.Request("hello"));
        var answer = await few.GetAsync("/control/received");
        Assert.Equal((3, 2), (answer.GetProperty("searched").GetInt32(), answer.GetProperty("dropped").GetInt32()));

        await using var small = await SimulatedCompany.OpenAiAsync("--Simulator:ReceivedMaxBytes=4000");
        for (var i = 0; i < 5; i++) await small.PostAsync(Chat.Path, Chat.Request(new string('x', 1500)));
        Assert.InRange((await small.GetAsync("/control/received")).GetProperty("searched").GetInt32(), 1, 2);

        await using var off = await SimulatedCompany.OpenAiAsync("--Simulator:RecordReceived=false");
        await off.PostAsync(Chat.Path, Chat.Request("hello"));
        var nothing = await off.GetAsync("/control/received");
        Assert.Equal((0, false), (nothing.GetProperty("searched").GetInt32(), nothing.GetProperty("recording").GetBoolean()));
    }
}
