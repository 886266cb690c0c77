using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;

namespace AiAspire.Unit.Api.Edge;

[Trait("Checklist", "PRIV-05")]
public sealed class EdgeTests
{
    private const string Hosts = "localhost;127.0.0.1;api.example.com;*.sub.example.com";

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("api.example.com", true)]
    [InlineData("API.example.com:8443", true)]
    [InlineData("a.sub.example.com", true)]
    [InlineData("evil.example.com", false)]
    [InlineData("api.example.com.evil.test", false)]
    [InlineData("api.example.com@evil.test", false)]
    [InlineData("evil.test/#@api.example.com", false)]
    [InlineData("api.example.com/v1", false)]
    [InlineData("api.example.com:port", false)]
    [InlineData("api.example.com:443:443", false)]
    [InlineData("-", false)]
    public async Task Only_the_named_hosts_are_served(string host, bool served)
    {
        await using var server = await EdgeServer.StartAsync("Production", ("AllowedHosts", Hosts), ("urls", "http://127.0.0.1:0"), ("Api:BehindTlsProxy:KnownProxies:0", "127.0.0.1"));

        var answer = await server.SendRawAsync($"GET /v1/echo HTTP/1.1\r\nHost: {host}\r\nX-Forwarded-Proto: https\r\n\r\n");

        Assert.StartsWith(served ? "HTTP/1.1 200" : "HTTP/1.1 400", answer, StringComparison.Ordinal);
        Assert.Equal(served ? 1 : 0, server.Reached);
    }

    [Fact]
    public async Task A_refused_host_is_told_in_the_wires_shape_and_probes_may_use_an_address()
    {
        await using var server = await EdgeServer.StartAsync("Production", ("AllowedHosts", "api.example.com"), ("Api:BehindTlsProxy:KnownProxies:0", "10.9.9.9"));
        using var client = server.Client();

        using var refused = await client.GetAsync("/v1/echo", Cancelled);
        await ErrorAsync(refused, HttpStatusCode.BadRequest, "invalid_host");
        using var probe = await client.GetAsync("/alive", Cancelled);
        Assert.Equal(HttpStatusCode.OK, probe.StatusCode);
    }

    [Fact]
    public async Task Forwarded_headers_count_from_known_proxies_alone_and_for_so_many_hops()
    {
        const string Claims = "X-Forwarded-For: 198.51.100.1, 203.0.113.7\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil.test\r\n";
        const string Request = $"GET /v1/echo HTTP/1.1\r\nHost: localhost\r\n{Claims}\r\n";

        await using var direct = await EdgeServer.StartAsync("Development");
        Assert.Contains("from 127.0.0.1 by http to localhost", await direct.SendRawAsync(Request), StringComparison.Ordinal);

        await using var stranger = await EdgeServer.StartAsync("Development", ("Api:BehindTlsProxy:KnownNetworks:0", "10.0.0.0/8"));
        Assert.Contains("from 127.0.0.1 by http to localhost", await stranger.SendRawAsync(Request), StringComparison.Ordinal);

        await using var known = await EdgeServer.StartAsync("Development", ("Api:BehindTlsProxy:KnownNetworks:0", "127.0.0.0/8"));
        Assert.Contains("from 203.0.113.7 by https to localhost", await known.SendRawAsync(Request), StringComparison.Ordinal);

        // A second hop counts only when the first one's address is a proxy's too.
        await using var two = await EdgeServer.StartAsync("Development", ("Api:BehindTlsProxy:KnownNetworks:0", "127.0.0.0/8"), ("Api:BehindTlsProxy:MaxHops", "2"));
        Assert.Contains("from 203.0.113.7 ", await two.SendRawAsync(Request), StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_a_proxy_took_over_http_is_refused_and_over_https_gets_hsts()
    {
        await using var server = await EdgeServer.StartAsync("Production", ("AllowedHosts", "localhost"), ("Api:BehindTlsProxy:KnownProxies:0", "127.0.0.1"));

        var plain = await server.SendRawAsync("GET /v1/echo HTTP/1.1\r\nHost: localhost\r\n\r\n");
        Assert.StartsWith("HTTP/1.1 400", plain, StringComparison.Ordinal);
        Assert.Contains("https_required", plain, StringComparison.Ordinal);
        Assert.DoesNotContain("Strict-Transport-Security", plain, StringComparison.Ordinal);
        var secure = await server.SendRawAsync("GET /v1/echo HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-Proto: https\r\n\r\n");
        Assert.StartsWith("HTTP/1.1 200", secure, StringComparison.Ordinal);
        Assert.Contains("Strict-Transport-Security: max-age=31536000", secure, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("/v1/echo", "no-store")]
    [InlineData("/v1/nothing", "no-store")]
    [InlineData("/nowhere", null)]
    public async Task Every_answer_carries_the_security_headers(string path, string? caching)
    {
        await using var server = await EdgeServer.StartAsync("Development");
        using var client = server.Client();
        using var response = await client.GetAsync(path, Cancelled);

        Assert.Equal("nosniff", Assert.Single(response.Headers.GetValues("X-Content-Type-Options")));
        Assert.Equal("no-referrer", Assert.Single(response.Headers.GetValues("Referrer-Policy")));
        Assert.StartsWith("default-src 'none'", Assert.Single(response.Headers.GetValues("Content-Security-Policy")), StringComparison.Ordinal);
        Assert.Empty(response.Headers.Server);
        Assert.Equal(caching, response.Headers.CacheControl?.ToString());
        Assert.True(response.Headers.Contains("x-request-id"));
    }

    [Fact]
    public async Task Too_long_a_body_is_413_whether_it_says_so_or_not()
    {
        await using var server = await EdgeServer.StartAsync("Development", ("Api:MaxRequestBytes", "1024"));
        using var client = server.Client();

        var told = await server.SendRawAsync("POST /v1/echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2000000000\r\n\r\n");
        Assert.StartsWith("HTTP/1.1 413", told, StringComparison.Ordinal);
        Assert.Contains("request_too_large", told, StringComparison.Ordinal);
        Assert.Equal(0, server.Reached);

        var chunk = new string('a', 2000);
        var untold = await server.SendRawAsync($"POST /v1/echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n{chunk}\r\n0\r\n\r\n");
        Assert.StartsWith("HTTP/1.1 413", untold, StringComparison.Ordinal);
        Assert.Contains("request_too_large", untold, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Headers_that_dribble_in_end_the_connection()
    {
        await using var server = await EdgeServer.StartAsync("Development", ("Api:RequestHeadersSeconds", "1"));
        var answer = await server.SendRawAsync("GET /v1/echo HTTP/1.1\r\nHost: loc", answers: 2);
        Assert.StartsWith("HTTP/1.1 408", answer, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Browsers_of_other_origins_are_let_in_only_by_name()
    {
        await using var closed = await EdgeServer.StartAsync("Development");
        Assert.False((await PreflightAsync(closed, "https://app.example.com")).Contains("Access-Control-Allow-Origin"));

        await using var open = await EdgeServer.StartAsync("Development", ("Api:Cors:Origins:0", "https://app.example.com"));
        var named = await PreflightAsync(open, "https://app.example.com");
        Assert.Equal("https://app.example.com", Assert.Single(named.GetValues("Access-Control-Allow-Origin")));
        Assert.False(named.Contains("Access-Control-Allow-Credentials"));
        Assert.False((await PreflightAsync(open, "https://evil.test")).Contains("Access-Control-Allow-Origin"));
    }

    private static async Task<HttpResponseHeaders> PreflightAsync(EdgeServer server, string origin)
    {
        using var client = server.Client();
        using var request = new HttpRequestMessage(HttpMethod.Options, "/v1/echo");
        request.Headers.Add("Origin", origin);
        request.Headers.Add("Access-Control-Request-Method", "POST");
        request.Headers.Add("Access-Control-Request-Headers", "authorization,content-type");
        using var response = await client.SendAsync(request, Cancelled);
        return response.Headers;
    }

    private static async Task ErrorAsync(HttpResponseMessage response, HttpStatusCode status, string code)
    {
        Assert.Equal(status, response.StatusCode);
        var error = JsonElement.Parse(await response.Content.ReadAsStringAsync(Cancelled)).GetProperty("error");
        Assert.Equal(code, error.GetProperty("code").GetString());
    }
}
