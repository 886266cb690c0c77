using System.Net;
using System.Net.Sockets;
using System.Text;
using AiAspire.Api.Edge;
using AiAspire.ServiceDefaults;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace AiAspire.Unit.Api.Edge;

/// <summary>The edge of the Api on a real Kestrel, before an endpoint that tells what came through.</summary>
internal sealed class EdgeServer : IAsyncDisposable
{
    private static readonly TimeSpan AnswerLimit = TimeSpan.FromSeconds(20);
    private readonly WebApplication _app;

    private EdgeServer(WebApplication app) => _app = app;

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    public Uri Address => new(_app.Urls.First());

    /// <summary>How many requests reached the endpoint.</summary>
    public int Reached { get; private set; }

    public static WebApplication Build(string environment, params (string Key, string? Value)[] settings)
    {
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions { EnvironmentName = environment });
        builder.WebHost.UseKestrel();
        builder.Configuration.AddInMemoryCollection(settings.Prepend((Key: "urls", Value: "http://127.0.0.1:0")).GroupBy(s => s.Key, s => s.Value).Select(s => KeyValuePair.Create(s.Key, s.Last())));
        builder.AddServiceDefaults();
        builder.Services.AddRouting();
        builder.AddEdge();
        return builder.Build();
    }

    public static async Task<EdgeServer> StartAsync(string environment, params (string Key, string? Value)[] settings)
    {
        var server = new EdgeServer(Build(environment, settings));
        server._app.UseEdge();
        server._app.UseRouting();
        server._app.MapDefaultEndpoints();
        server._app.MapMethods("/v1/echo", ["GET", "POST"], async (HttpContext http) =>
        {
            server.Reached++;
            using var reader = new StreamReader(http.Request.Body);
            var body = await reader.ReadToEndAsync(http.RequestAborted);
            return Results.Text($"[{body}] from {http.Connection.RemoteIpAddress} by {http.Request.Scheme} to {http.Request.Host}");
        });
        await server._app.StartAsync(Cancelled);
        return server;
    }

    public HttpClient Client()
    {
        var client = _app.Services.GetRequiredService<IHttpClientFactory>().CreateClient();
        client.BaseAddress = Address;
        return client;
    }

    /// <summary>Sends bytes as they are and reads until the server closes, or until it has answered so many times and stays silent.</summary>
    public async Task<string> SendRawAsync(string request, int answers = 1)
    {
        using var socket = new TcpClient();
        await socket.ConnectAsync(IPAddress.Loopback, Address.Port, Cancelled);
        await using var stream = socket.GetStream();
        await stream.WriteAsync(Encoding.Latin1.GetBytes(request), Cancelled);
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(Cancelled);
        limit.CancelAfter(AnswerLimit);
        var text = new StringBuilder();
        var buffer = new byte[4096];
        while (AnswersIn(text.ToString()) < answers)
        {
            var read = await stream.ReadAsync(buffer, limit.Token);
            if (read == 0)
                break;
            text.Append(Encoding.Latin1.GetString(buffer, 0, read));
        }

        return text.ToString();
    }

    private static int AnswersIn(string text)
    {
        // Every answer of this endpoint and of ErrorWriter has a length.
        var count = 0;
        for (var rest = text; rest.IndexOf("\r\n\r\n", StringComparison.Ordinal) is var end and >= 0; count++)
        {
            const string Length = "Content-Length: ";
            var at = rest.IndexOf(Length, StringComparison.Ordinal);
            var body = at >= 0 && at < end ? int.Parse(rest[(at + Length.Length)..].Split('\r')[0], System.Globalization.CultureInfo.InvariantCulture) : 0;
            if (rest.Length < end + 4 + body)
                break;
            rest = rest[(end + 4 + body)..];
        }

        return count;
    }

    public async ValueTask DisposeAsync()
    {
        await _app.StopAsync(Cancelled);
        await _app.DisposeAsync();
    }
}
