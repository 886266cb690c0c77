using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Options;

namespace AiAspire.Unit.Api.Edge;

[Trait("Checklist", "PRIV-05")]
public sealed class ProductionRulesTests
{
    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("AllowedHosts must name", "urls=https://127.0.0.1:0")]
    [InlineData("AllowedHosts must name", "urls=https://127.0.0.1:0", "AllowedHosts=*")]
    [InlineData("no https address", "AllowedHosts=a.test", "urls=http://127.0.0.1:0")]
    [InlineData("http://*:8080 without TLS", "AllowedHosts=a.test", "urls=https://127.0.0.1:0;http://*:8080")]
    [InlineData("http://*:8080 without TLS", "AllowedHosts=a.test", "urls=", "http_ports=8080")]
    [InlineData("without TLS", "AllowedHosts=a.test", "urls=https://127.0.0.1:0", "Kestrel:Endpoints:Web:Url=http://0.0.0.0:80")]
    [InlineData("FORWARDEDHEADERS_ENABLED", "AllowedHosts=a.test", "urls=https://127.0.0.1:0", "ForwardedHeaders_Enabled=true")]
    public async Task Refuses_to_start_and_says_why(string reason, params string[] settings)
    {
        await using var app = Build(settings);
        var refusal = await Assert.ThrowsAsync<InvalidOperationException>(() => app.StartAsync(Cancelled));
        Assert.Contains(reason, refusal.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', refusal.Message);
    }

    [Theory]
    [InlineData("names no proxy", "Api:BehindTlsProxy:MaxHops=1")]
    [InlineData("no IP address", "Api:BehindTlsProxy:KnownProxies:0=proxy.internal")]
    [InlineData("is no network", "Api:BehindTlsProxy:KnownNetworks:0=10.0.0.0/x")]
    [InlineData("which is everybody", "Api:BehindTlsProxy:KnownNetworks:0=0.0.0.0/0")]
    [InlineData("MaxHops 0", "Api:BehindTlsProxy:KnownProxies:0=10.0.0.1", "Api:BehindTlsProxy:MaxHops=0")]
    [InlineData("Api:Cors:Origins", "Api:Cors:Origins:0=*")]
    [InlineData("Api:Cors:Origins", "Api:Cors:Origins:0=https://*.example.com")]
    [InlineData("Api:Cors:Origins", "Api:Cors:Origins:0=https://app.example.com/")]
    [InlineData("Api:Cors:Origins", "Api:Cors:Origins:0=http://app.example.com")]
    public async Task Settings_that_would_open_the_door_are_refused(string reason, params string[] settings)
    {
        var refusal = await Assert.ThrowsAsync<OptionsValidationException>(async () =>
        {
            await using var app = Build(["AllowedHosts=a.test", .. settings]);
            await app.StartAsync(Cancelled);
        });
        Assert.Contains(reason, refusal.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("Production", "AllowedHosts=a.test", "urls=http://127.0.0.1:0", "Api:BehindTlsProxy:KnownProxies:0=10.0.0.1")]
    [InlineData("Development", "urls=http://127.0.0.1:0")]
    public async Task Starts_behind_a_named_proxy_and_in_development(string environment, params string[] settings)
    {
        await using var app = EdgeServer.Build(environment, Pairs(settings));
        await app.StartAsync(Cancelled);
        await app.StopAsync(Cancelled);
    }

    private static Microsoft.AspNetCore.Builder.WebApplication Build(string[] settings) => EdgeServer.Build("Production", Pairs(settings));

    private static (string, string?)[] Pairs(string[] settings)
        => [.. settings.Select(s => s.Split('=', 2)).Select(p => (p[0], (string?)p[1]))];
}
