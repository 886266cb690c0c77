using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using AiAspire.Evaluator;
using AiAspire.Evaluator.Service;
using AiAspire.ServiceDefaults;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Options;

namespace AiAspire.Unit.Evaluator;

public sealed class EvaluationServiceTests : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("aiaspire-evaluator-");

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public void Dispose() => _folder.Delete(recursive: true);

    [Fact]
    public async Task An_evaluation_is_queued_run_against_the_application_and_kept()
    {
        await using var stub = await StubOpenAi.StartAsync((_, _) => StubAnswer.Says("yes", 0.001m));
        string id;
        await using (var app = await StartAsync(stub))
        {
            var accepted = await PostAsync(app, """{"suite":"demo","model":"new","repeats":2}""");
            Assert.Equal(HttpStatusCode.Accepted, accepted.StatusCode);
            id = (await accepted.Content.ReadFromJsonAsync<JsonElement>(Cancellation)).GetProperty("id").GetString()!;
            Assert.Equal($"/v1/evaluations/{id}", accepted.Headers.Location!.ToString());

            var done = await UntilAsync(app, id, "completed");
            Assert.Equal("ship", done.GetProperty("report").GetProperty("decision").GetProperty("verdict").GetString());
            // Found by the name of service discovery, with the service's own key.
            Assert.Equal("Bearer sk-eval", stub.Received.First().Headers.Authorization);
        }

        await using var again = await StartAsync(stub);
        Assert.Equal("completed", (await GetAsync(again, $"/v1/evaluations/{id}")).GetProperty("state").GetString());
        var listed = Assert.Single((await GetAsync(again, "/v1/evaluations")).GetProperty("data").EnumerateArray());
        Assert.Equal(JsonValueKind.Null, listed.GetProperty("report").ValueKind);
    }

    [Fact]
    public async Task Stopping_cancels_what_runs_and_what_waits()
    {
        using var release = new SemaphoreSlim(0);
        using var asked = new SemaphoreSlim(0);
        await using var stub = await StubOpenAi.StartAsync((_, _) =>
        {
            asked.Release();
            release.Wait(TimeSpan.FromSeconds(30), CancellationToken.None);
            return StubAnswer.Says("yes");
        });
        var app = await StartAsync(stub);
        var running = await IdOfAsync(await PostAsync(app, """{"suite":"demo","model":"new"}"""));
        var waiting = await IdOfAsync(await PostAsync(app, """{"suite":"demo","model":"new"}"""));
        Assert.True(await asked.WaitAsync(TimeSpan.FromSeconds(30), Cancellation));

        await app.StopAsync(Cancellation);
        release.Release(100);

        var store = app.Services.GetRequiredService<EvaluationStore>();
        Assert.Equal(EvaluationState.Cancelled, (await store.FindAsync(running, Cancellation))!.State);
        Assert.Equal(EvaluationState.Cancelled, (await store.FindAsync(waiting, Cancellation))!.State);
        await app.DisposeAsync();
    }

    [Fact]
    public async Task A_dead_target_fails_the_evaluation_with_a_reason()
    {
        var stub = await StubOpenAi.StartAsync((_, _) => StubAnswer.Says("yes"));
        await using var app = await StartAsync(stub);
        await stub.DisposeAsync();

        var id = await IdOfAsync(await PostAsync(app, """{"suite":"demo","model":"new"}"""));

        Assert.Contains("Nothing answers", (await UntilAsync(app, id, "failed")).GetProperty("error").GetString(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("{broken", HttpStatusCode.BadRequest, null)]
    [InlineData("null", HttpStatusCode.BadRequest, null)]
    [InlineData("""{"model":"m"}""", HttpStatusCode.BadRequest, "suite")]
    [InlineData("""{"suite":"demo"}""", HttpStatusCode.BadRequest, "model")]
    [InlineData("""{"suite":"demo","model":"m","repeats":0}""", HttpStatusCode.BadRequest, "repeats")]
    [InlineData("""{"suite":"other","model":"m"}""", HttpStatusCode.NotFound, "suite")]
    [InlineData("""{"suite":"../evals/demo","model":"m"}""", HttpStatusCode.NotFound, "suite")]
    public async Task Bad_requests_are_answered_in_the_wire_s_words(string body, HttpStatusCode status, string? param)
    {
        await using var stub = await StubOpenAi.StartAsync((_, _) => StubAnswer.Says("yes"));
        await using var app = await StartAsync(stub);

        var response = await PostAsync(app, body);

        Assert.Equal(status, response.StatusCode);
        var error = (await response.Content.ReadFromJsonAsync<JsonElement>(Cancellation)).GetProperty("error");
        Assert.Equal(param, error.GetProperty("param").GetString());
        Assert.Empty((await GetAsync(app, "/v1/evaluations")).GetProperty("data").EnumerateArray());
    }

    [Theory]
    [InlineData(null)]
    [InlineData("sk-other")]
    [InlineData("sk-eval2")]
    public async Task Without_the_key_nothing_is_told_and_not_even_read(string? key)
    {
        await using var stub = await StubOpenAi.StartAsync((_, _) => StubAnswer.Says("yes"));
        await using var app = await StartAsync(stub);

        Assert.Equal(HttpStatusCode.Unauthorized, (await PostAsync(app, "{broken", key)).StatusCode);
        Assert.Equal(HttpStatusCode.Unauthorized, (await SendAsync(app, HttpMethod.Get, "/v1/evaluations", null, key)).StatusCode);
        Assert.Equal(HttpStatusCode.OK, (await SendAsync(app, HttpMethod.Get, "/health", null, key)).StatusCode);
    }

    [Fact]
    public async Task Does_not_start_without_a_key()
    {
        await using var stub = await StubOpenAi.StartAsync((_, _) => StubAnswer.Says("yes"));

        var refusal = await Assert.ThrowsAsync<OptionsValidationException>(() => StartAsync(stub, key: ""));

        Assert.Contains("Evaluator__ApiKey", refusal.Message, StringComparison.Ordinal);
    }

    private async Task<WebApplication> StartAsync(StubOpenAi stub, string key = "sk-eval")
    {
        var suites = _folder.CreateSubdirectory("evals").FullName;
        await File.WriteAllTextAsync(
            Path.Combine(suites, "demo.yaml"), "name: demo\ncases: [{ id: one, user: x, scorers: [{ type: icontains, value: yes }] }]", Cancellation);
        var builder = WebApplication.CreateSlimBuilder(new WebApplicationOptions { EnvironmentName = Environments.Production });
        builder.Configuration["Logging:LogLevel:Default"] = "None";
        builder.Configuration["Evaluator:ApiKey"] = key;
        builder.Configuration["Evaluator:DataPath"] = Path.Combine(_folder.FullName, "data");
        builder.Configuration["Evaluator:SuitesPath"] = suites;
        builder.Configuration["services:api:http:0"] = stub.Url;
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        builder.AddServiceDefaults();
        builder.Services.AddEvaluationService();
        builder.Services.AddHttpClient("test").WithoutStandardResilience();
        var app = builder.Build();
        app.MapDefaultEndpoints();
        app.MapEvaluations();
        await app.StartAsync(Cancellation);
        return app;
    }

    private static async Task<JsonElement> UntilAsync(WebApplication app, string id, string state)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(Cancellation);
        limit.CancelAfter(TimeSpan.FromSeconds(30));
        while (true)
        {
            var record = await GetAsync(app, $"/v1/evaluations/{id}");
            if (record.GetProperty("state").GetString() == state)
                return record;
            await Task.Delay(TimeSpan.FromMilliseconds(20), limit.Token);
        }
    }

    private static async Task<string> IdOfAsync(HttpResponseMessage response) =>
        (await response.Content.ReadFromJsonAsync<JsonElement>(Cancellation)).GetProperty("id").GetString()!;

    private static async Task<JsonElement> GetAsync(WebApplication app, string path) =>
        await (await SendAsync(app, HttpMethod.Get, path, null, "sk-eval")).Content.ReadFromJsonAsync<JsonElement>(Cancellation);

    private static Task<HttpResponseMessage> PostAsync(WebApplication app, string body, string? key = "sk-eval") =>
        SendAsync(app, HttpMethod.Post, "/v1/evaluations", body, key);

    private static async Task<HttpResponseMessage> SendAsync(WebApplication app, HttpMethod method, string path, string? body, string? key)
    {
        using var request = new HttpRequestMessage(method, app.Urls.First() + path);
        if (key is not null)
            request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", key);
        if (body is not null)
            request.Content = new StringContent(body, Encoding.UTF8, "application/json");
        return await app.Services.GetRequiredService<IHttpClientFactory>().CreateClient("test").SendAsync(request, Cancellation);
    }
}
