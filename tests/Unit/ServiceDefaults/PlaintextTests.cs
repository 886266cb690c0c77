using AiAspire.Core.Models;
using AiAspire.Core.Providers;
using AiAspire.Evaluator.Service;
using AiAspire.Evaluator.Targets;
using AiAspire.ServiceDefaults;
using AiAspire.ServiceDefaults.Transport;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Options;

namespace AiAspire.Unit.ServiceDefaults;

/// <summary>Inner hops: each refuses plain text beyond this machine at start, and says which setting and what to do.</summary>
[Trait("Checklist", "PRIV-05")]
public sealed class PlaintextTests
{
    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(null, "missing")]
    [InlineData("cache.internal:6379", "without TLS")]
    [InlineData("127.0.0.1:6379,10.0.0.7:6379", "without TLS")]
    [InlineData("cache.internal:6379,user=hunter2,ssl=false", "Redis:AllowPlaintext=true")]
    [InlineData("cache.internal:6379,nonsense=hunter2", "is not a Redis connection string")]
    public async Task Redis_beyond_loopback_needs_tls(string? connectionString, string reason)
    {
        using var host = Redis(connectionString);
        var refusal = await Assert.ThrowsAsync<OptionsValidationException>(() => host.StartAsync(Cancelled));
        Assert.Contains("'redis'", refusal.Message, StringComparison.Ordinal);
        Assert.Contains(reason, refusal.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("hunter2", refusal.ToString(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("localhost:6379", false)]
    [InlineData("127.0.0.1:6379,[::1]:6380", false)]
    [InlineData("cache.internal:6380,ssl=true", false)]
    [InlineData("cache.internal:6379", true)]
    public async Task Redis_starts_when_local_encrypted_or_permitted(string connectionString, bool permitted)
    {
        using var host = Redis(connectionString, permitted);
        await host.StartAsync(Cancelled);
        await host.StopAsync(Cancelled);
    }

    [Theory]
    [InlineData("https://api.example.com/v1", true)]
    [InlineData("http://localhost:11434/v1", true)]
    [InlineData("http://[::1]:11434/v1", true)]
    [InlineData("http://near/v1", true)]
    [InlineData("http://far/v1", false)]
    [InlineData("http://mixed/v1", false)]
    [InlineData("http://nowhere/v1", false)]
    [InlineData("http://10.0.0.7:8000/v1", false)]
    public void A_provider_and_a_target_are_reached_encrypted_or_on_this_machine(string address, bool safe)
    {
        var provider = new ProviderTransport(Discovery());
        var refused = provider.Validate(null, Catalog(address, permitted: false));
        Assert.Equal(safe, refused.Succeeded);
        if (!safe)
            Assert.Contains("Providers:mine:AllowPlaintext=true", refused.FailureMessage, StringComparison.Ordinal);
        Assert.True(provider.Validate(null, Catalog(address, permitted: true)).Succeeded);
        Assert.Equal(safe, !PlaintextRule.Breaks(new Uri(address), Discovery()));

        var target = new TargetTransport(Discovery());
        var refusal = target.Validate(null, new EvaluatorOptions { TargetUrl = address });
        Assert.Equal(safe, refusal.Succeeded);
        if (!safe)
            Assert.Contains("Evaluator:AllowPlaintext=true", refusal.FailureMessage, StringComparison.Ordinal);
        Assert.True(target.Validate(null, new EvaluatorOptions { TargetUrl = address, AllowPlaintext = true }).Succeeded);
    }

    [Fact]
    public void A_provider_that_is_not_enabled_sends_nothing()
        => Assert.True(new ProviderTransport(Discovery()).Validate(null, Catalog("http://far/v1", permitted: false, key: null)).Succeeded);

    [Fact]
    public void The_command_line_sends_no_key_over_plain_http()
    {
        Assert.Contains("TLS", Assert.Throws<TargetException>(() => TargetFinder.Find("http://far.example.com", "k", _ => null)).Message, StringComparison.Ordinal);
        Assert.Null(TargetFinder.Find("http://far.example.com", null, _ => null).ApiKey);
        Assert.Equal("k", TargetFinder.Find("http://far.example.com", "k", name => name == "AIASPIRE_ALLOW_PLAINTEXT" ? "true" : null).ApiKey);
        Assert.Equal("k", TargetFinder.Find("http://127.0.0.1:5000", "k", _ => null).ApiKey);
    }

    [Theory]
    [InlineData("http://collector.example.com:4317", null, false)]
    [InlineData("http://collector.example.com:4317", "true", true)]
    [InlineData("https://collector.example.com:4317", null, true)]
    [InlineData("http://localhost:4317", null, true)]
    public void Telemetry_leaves_encrypted(string endpoint, string? permitted, bool starts)
    {
        var builder = Host.CreateEmptyApplicationBuilder(new HostApplicationBuilderSettings());
        builder.Configuration.AddInMemoryCollection([KeyValuePair.Create("OTEL_EXPORTER_OTLP_ENDPOINT", (string?)endpoint), KeyValuePair.Create("Telemetry:AllowPlaintext", permitted)]);
        if (starts)
            builder.AddServiceDefaults();
        else
            Assert.Contains("Telemetry:AllowPlaintext", Assert.Throws<InvalidOperationException>(() => builder.AddServiceDefaults()).Message, StringComparison.Ordinal);
    }

    private static CatalogOptions Catalog(string address, bool permitted, string? key = "k") => new()
    {
        Providers = { ["mine"] = new ProviderOptions { BaseAddress = new Uri(address), ApiKey = key, AllowPlaintext = permitted } },
    };

    private static IConfigurationRoot Discovery() => new ConfigurationBuilder().AddInMemoryCollection(new Dictionary<string, string?>(StringComparer.Ordinal)
    {
        ["services:near:http:0"] = "http://localhost:5001",
        ["services:far:http:0"] = "http://10.0.0.7:5001",
        ["services:mixed:http:0"] = "http://localhost:5001",
        ["services:mixed:http:1"] = "http://10.0.0.7:5001",
    }).Build();

    private static IHost Redis(string? connectionString, bool permitted = false)
    {
        var builder = Host.CreateEmptyApplicationBuilder(new HostApplicationBuilderSettings());
        builder.Configuration["ConnectionStrings:redis"] = connectionString;
        builder.Configuration["Redis:AllowPlaintext"] = permitted ? "true" : null;
        builder.Services.AddSingleton(TimeProvider.System);
        builder.AddRedis("redis");
        return builder.Build();
    }
}
