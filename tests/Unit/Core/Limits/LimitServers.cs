using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Garnet;
using StackExchange.Redis;

namespace AiAspire.Unit.CoreTests.Limits;

/// <summary>The servers that the scripts must run on: Garnet in this process, and Redis when the machine has it.</summary>
public sealed class LimitServers : IAsyncLifetime
{
    public const string Garnet = "Garnet";
    public const string Redis = "Redis";

    private readonly Dictionary<string, IConnectionMultiplexer> _connections = new(StringComparer.Ordinal);
    private GarnetServer? _garnet;
    private Process? _redis;

    public static TheoryData<string> Names => [Garnet, Redis];

    public IConnectionMultiplexer Connection(string server)
    {
        Assert.SkipUnless(_connections.ContainsKey(server), $"No {server} on this machine: put redis-server on PATH to run this case.");
        return _connections[server];
    }

    public async ValueTask InitializeAsync()
    {
        var port = FreePort();
        _garnet = new GarnetServer(["--bind", "127.0.0.1", "--port", $"{port}", "--lua", "true", "--logger-level", "Error", "--memory", "64m", "--page", "4m", "--index", "8m", "-q"]);
        _garnet.Start();
        _connections[Garnet] = await ConnectAsync(port);
        if (FindOnPath("redis-server") is { } binary)
        {
            port = FreePort();
            _redis = Process.Start(new ProcessStartInfo(binary, ["--bind", "127.0.0.1", "--port", $"{port}", "--save", "", "--appendonly", "no", "--dir", Path.GetTempPath()]) { RedirectStandardOutput = true, UseShellExecute = false })!;
            // Left unread, a full pipe would stop the server.
            _redis.OutputDataReceived += static (_, _) => { };
            _redis.BeginOutputReadLine();
            _connections[Redis] = await ConnectAsync(port);
        }
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var connection in _connections.Values)
            await connection.DisposeAsync();
        _garnet?.Dispose();
        if (_redis is not null)
        {
            _redis.Kill();
            await _redis.WaitForExitAsync();
            _redis.Dispose();
        }
    }

    private static async Task<IConnectionMultiplexer> ConnectAsync(int port)
    {
        var options = ConfigurationOptions.Parse($"127.0.0.1:{port},abortConnect=false,connectTimeout=2000,connectRetry=20,syncTimeout=30000,asyncTimeout=30000");
        var connection = await ConnectionMultiplexer.ConnectAsync(options);
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(30), TimeProvider.System);
        while (!connection.IsConnected)
            await Task.Delay(TimeSpan.FromMilliseconds(20), TimeProvider.System, limit.Token);
        return connection;
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    private static string? FindOnPath(string name)
        => (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator).Where(p => p.Length > 0).Select(p => Path.Combine(p, name)).FirstOrDefault(File.Exists);
}

[CollectionDefinition(Name)]
public sealed class LimitServersCollection : ICollectionFixture<LimitServers>
{
    public const string Name = "limit servers";
}
