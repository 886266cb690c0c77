using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text.Json;
using AiAspire.ServiceDefaults;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Hosting;

namespace AiAspire.Unit.ServiceDefaults;

public sealed class DefaultEndpointsTests
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Health_answers_in_production_and_tells_no_secret()
    {
        await using var app = await StartAsync(services => services.AddHealthChecks()
            .AddCheck("database", () => HealthCheckResult.Unhealthy("Host=db;Password=hunter2", new TimeoutException("hunter2"))));
        var client = ClientOf(app);

        var health = await client.GetAsync("/health", Cancellation);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, health.StatusCode);
        Assert.Equal("application/json", health.Content.Headers.ContentType?.MediaType);
        var body = await health.Content.ReadAsStringAsync(Cancellation);
        Assert.Equal("""{"status":"Unhealthy","checks":{"self":"Healthy","database":"Unhealthy"}}""", body);

        var alive = await client.GetFromJsonAsync<JsonElement>("/alive", Cancellation);
        Assert.Equal("Healthy", alive.GetProperty("status").GetString());
    }

    [Fact]
    public async Task Every_check_has_a_time_out()
    {
        await using var app = await StartAsync(services => services.AddHealthChecks().AddCheck("own", () => HealthCheckResult.Healthy()));

        var options = app.Services.GetRequiredService<Microsoft.Extensions.Options.IOptions<HealthCheckServiceOptions>>().Value;

        Assert.All(options.Registrations, check => Assert.InRange(check.Timeout, TimeSpan.FromMilliseconds(1), TimeSpan.FromSeconds(10)));
    }

    [Theory]
    [InlineData("127.0.0.1", null, null, HttpStatusCode.OK)]
    [InlineData("::ffff:127.0.0.1", null, null, HttpStatusCode.OK)]
    [InlineData("::1", null, null, HttpStatusCode.OK)]
    [InlineData("10.0.0.9", null, null, HttpStatusCode.NotFound)]
    [InlineData("10.0.0.9", "Bearer wrong", null, HttpStatusCode.NotFound)]
    [InlineData("10.0.0.9", "Bearer scrape-me", null, HttpStatusCode.OK)]
    [InlineData("127.0.0.1", null, "203.0.113.5", HttpStatusCode.NotFound)]
    public async Task Metrics_open_only_to_loopback_or_the_token(
        string caller, string? authorization, string? forwardedFor, HttpStatusCode expected)
    {
        await using var app = await StartAsync(_ => { }, caller, ("Telemetry:ScrapeToken", "scrape-me"));
        using var request = new HttpRequestMessage(HttpMethod.Get, "/metrics");
        if (authorization is not null)
            request.Headers.Authorization = AuthenticationHeaderValue.Parse(authorization);
        if (forwardedFor is not null)
            request.Headers.Add("X-Forwarded-For", forwardedFor);

        var response = await ClientOf(app).SendAsync(request, Cancellation);

        Assert.Equal(expected, response.StatusCode);
    }

    [Fact]
    public async Task Without_a_token_setting_an_empty_bearer_opens_nothing()
    {
        await using var app = await StartAsync(_ => { }, "10.0.0.9");
        using var request = new HttpRequestMessage(HttpMethod.Get, "/metrics");
        request.Headers.TryAddWithoutValidation("Authorization", "Bearer ");

        Assert.Equal(HttpStatusCode.NotFound, (await ClientOf(app).SendAsync(request, Cancellation)).StatusCode);
    }

    [Fact]
    public async Task Clients_find_services_by_name_and_may_opt_out_of_resilience()
    {
        await using var target = await StartAsync(_ => { });
        await using var app = await StartAsync(
            services => services.AddHttpClient("plain").WithoutStandardResilience(),
            settings: ("services:api:http:0", target.Urls.First()));
        var factory = app.Services.GetRequiredService<IHttpClientFactory>();

        foreach (var name in new[] { "default", "plain" })
        {
            var response = await factory.CreateClient(name).GetAsync("http://api/alive", Cancellation);
            Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        }
    }

    private static async Task<WebApplication> StartAsync(
        Action<IServiceCollection> configure, string? caller = null, params (string Key, string Value)[] settings)
    {
        var builder = WebApplication.CreateSlimBuilder(new WebApplicationOptions { EnvironmentName = Environments.Production });
        foreach (var (key, value) in settings)
            builder.Configuration[key] = value;
        builder.Configuration["Logging:LogLevel:Default"] = "Error";
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        builder.AddServiceDefaults();
        builder.Services.AddHttpClient("test").WithoutStandardResilience();
        configure(builder.Services);
        var app = builder.Build();
        if (caller is not null)
        {
            app.Use((context, next) =>
            {
                context.Connection.RemoteIpAddress = IPAddress.Parse(caller);
                return next(context);
            });
        }

        app.UseRouting();
        app.MapDefaultEndpoints();
        await app.StartAsync(Cancellation);
        return app;
    }

    private static HttpClient ClientOf(WebApplication app)
    {
        var client = app.Services.GetRequiredService<IHttpClientFactory>().CreateClient("test");
        client.BaseAddress = new Uri(app.Urls.First());
        return client;
    }
}
