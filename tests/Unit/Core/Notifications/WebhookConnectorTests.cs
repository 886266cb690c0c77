using System.Net;
using System.Net.Sockets;
using AiAspire.Core.Notifications;
using Microsoft.Extensions.Options;

namespace AiAspire.Unit.CoreTests.Notifications;

public sealed class WebhookConnectorTests
{
    private static readonly IPAddress Public = IPAddress.Parse("93.184.215.14");

    [Theory]
    [InlineData("127.0.0.1")]
    [InlineData("0.0.0.0")]
    [InlineData("10.1.2.3")]
    [InlineData("172.31.255.255")]
    [InlineData("192.168.0.1")]
    [InlineData("100.64.0.1")]
    [InlineData("169.254.169.254")]
    [InlineData("168.63.129.16")]
    [InlineData("224.0.0.1")]
    [InlineData("255.255.255.255")]
    [InlineData("::")]
    [InlineData("::1")]
    [InlineData("::ffff:127.0.0.1")]
    [InlineData("::ffff:169.254.169.254")]
    [InlineData("::127.0.0.1")]
    [InlineData("64:ff9b::a00:1")]
    [InlineData("2002:7f00:1::")]
    [InlineData("fe80::1")]
    [InlineData("fd00:ec2::254")]
    [InlineData("ff02::1")]
    public async Task What_is_not_public_is_refused_by_name_and_by_number(string address)
    {
        await Assert.ThrowsAsync<TargetRefusedException>(() => SendAsync("hooks.example.com", new Resolver([IPAddress.Parse(address)])));
        await Assert.ThrowsAsync<TargetRefusedException>(() => SendAsync(address.Contains(':', StringComparison.Ordinal) ? $"[{address}]" : address, new Resolver([Public])));
    }

    [Theory]
    [InlineData("93.184.215.14")]
    [InlineData("172.32.0.1")]
    [InlineData("2606:4700:4700::1111")]
    [InlineData("64:ff9b::808:808")]
    public void What_is_public_is_allowed(string address) => Assert.True(PublicAddresses.IsPublic(IPAddress.Parse(address)));

    [Fact]
    public async Task One_private_address_among_public_ones_is_refused()
        => await Assert.ThrowsAsync<TargetRefusedException>(() => SendAsync("hooks.example.com", new Resolver([Public, IPAddress.Loopback])));

    [Fact]
    public async Task A_name_that_is_rebound_after_the_check_leads_nowhere_else()
    {
        // What a rebinding name server does: an innocent answer for the check, and then the address it is after.
        using var victim = new TcpListener(IPAddress.Loopback, 0);
        victim.Start();
        var resolver = new Resolver([Public], [IPAddress.Loopback]);
        await Assert.ThrowsAnyAsync<Exception>(() => SendAsync("rebind.example.com", resolver, ((IPEndPoint)victim.LocalEndpoint).Port, TimeSpan.FromMilliseconds(300)));
        Assert.Equal(1, resolver.Asked);
        Assert.False(victim.Pending());
    }

    [Fact]
    public async Task Private_targets_are_reached_where_they_are_allowed()
    {
        using var server = new TcpListener(IPAddress.Loopback, 0);
        server.Start();
        var sending = SendAsync("hooks.example.com", new Resolver([IPAddress.Loopback]), ((IPEndPoint)server.LocalEndpoint).Port, TimeSpan.FromSeconds(10), allowPrivate: true);
        using var accepted = await server.AcceptTcpClientAsync(TestContext.Current.CancellationToken);
        await accepted.GetStream().WriteAsync("HTTP/1.1 204 No Content\r\n\r\n"u8.ToArray(), TestContext.Current.CancellationToken);
        await sending;
    }

    [Theory]
    [InlineData("http://hooks.example.com/x", "https")]
    [InlineData("https://user:secret@hooks.example.com/", "user")]
    [InlineData("https://127.0.0.1/x", "public")]
    [InlineData("https://[::1]/x", "public")]
    [InlineData("https://localhost/x", "public")]
    [InlineData("ftp://hooks.example.com/", "https")]
    [InlineData("nonsense", "URL")]
    [InlineData("https://hooks.example.com/x", null)]
    public void A_bad_address_is_told_when_it_is_set(string url, string? fault)
    {
        var told = new WebhookConnector(new Resolver([Public]), Options.Create(new NotificationOptions())).Fault(url);
        if (fault is null)
            Assert.Null(told);
        else
            Assert.Contains(fault, told, StringComparison.Ordinal);
    }

    private static async Task SendAsync(string host, Resolver resolver, int port = 80, TimeSpan? atMost = null, bool allowPrivate = false)
    {
        var connector = new WebhookConnector(resolver, Options.Create(new NotificationOptions { AllowPrivateTargets = allowPrivate }));
        using var handler = new SocketsHttpHandler { ConnectCallback = connector.ConnectAsync, UseProxy = false };
        using var client = new HttpMessageInvoker(handler);
        using var timeout = new CancellationTokenSource(atMost ?? TimeSpan.FromSeconds(10));
        using var request = new HttpRequestMessage(HttpMethod.Post, $"http://{host}:{port}/");
        try
        {
            using var response = await client.SendAsync(request, timeout.Token);
        }
        catch (HttpRequestException e) when (e.InnerException is TargetRefusedException refused)
        {
            throw new TargetRefusedException(refused.Message);
        }
    }

    private sealed class Resolver(params IPAddress[][] answers) : IHostResolver
    {
        public int Asked { get; private set; }

        public Task<IPAddress[]> ResolveAsync(string host, CancellationToken cancellationToken) => Task.FromResult(answers[Math.Min(Asked++, answers.Length - 1)]);
    }
}
