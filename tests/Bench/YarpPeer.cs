using System.Diagnostics;
using Aspire.Hosting.Embedded;
using Yarp.ReverseProxy.Configuration;

namespace AiAspire.Bench;

/// <summary>
/// The named peer: YARP with one route for everything and its own defaults, in a process of its own. It writes no logs, which is in
/// its favour.
/// </summary>
internal sealed class YarpPeer : IAsyncDisposable
{
    public const string Verb = "yarp";
    private static readonly TimeSpan Grace = TimeSpan.FromSeconds(5);
    private readonly Process _process;

    private YarpPeer(Process process, Uri address) => (_process, Address) = (process, address);

    public Uri Address { get; }

    public int ProcessId => _process.Id;

    public static string Version { get; } = typeof(RouteConfig).Assembly.GetName().Version!.ToString(3);

    /// <summary>Starts this very program with the hidden verb.</summary>
    public static async Task<YarpPeer> StartAsync(Uri upstream, CancellationToken cancellationToken)
    {
        var start = new ProcessStartInfo(DotNetHost.Path, ["exec", typeof(YarpPeer).Assembly.Location, Verb, upstream.ToString()])
        {
            UseShellExecute = false,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
        };
        var process = Process.Start(start) ?? throw new InvalidOperationException("YARP's process did not start.");
        var address = await process.StandardOutput.ReadLineAsync(cancellationToken)
            ?? throw new InvalidOperationException("YARP's process ended before it listened.");
        return new YarpPeer(process, new Uri(address));
    }

    /// <summary>Proxies until the standard input ends: with whoever started us.</summary>
    public static async Task RunAsync(Uri upstream)
    {
        var builder = WebApplication.CreateBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        builder.Services.AddReverseProxy().LoadFromMemory(
            [new RouteConfig { RouteId = "all", ClusterId = "upstream", Match = new RouteMatch { Path = "{**all}" } }],
            [
                new ClusterConfig
                {
                    ClusterId = "upstream",
                    Destinations = new Dictionary<string, DestinationConfig>(StringComparer.Ordinal) { ["one"] = new() { Address = upstream.ToString() } },
                },
            ]);
        await using var app = builder.Build();
        app.MapReverseProxy();
        await app.StartAsync();
        Console.WriteLine(app.Urls.First());
        await Console.In.ReadToEndAsync();
        await app.StopAsync();
    }

    public async ValueTask DisposeAsync()
    {
        _process.StandardInput.Close();
        try
        {
            await _process.WaitForExitAsync(CancellationToken.None).WaitAsync(Grace);
        }
        catch (TimeoutException)
        {
            _process.Kill();
        }

        _process.Dispose();
    }
}
