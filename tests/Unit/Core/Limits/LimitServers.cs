using System.Diagnostics;
using System.Diagnostics.Metrics;
using System.Net;
using System.Net.Sockets;
using AiAspire.Core.Limits;
using AiAspire.Core.Rollouts;
using AiAspire.Core.Tenancy;
using Garnet;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;
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

    /// <summary>The counters of a server, with a ledger that knows of nothing.</summary>
    public LimitCounters Counters(string server, TimeProvider time) => new(Standing(server), Generations(Connection(server), time), time);

    public static CounterGenerations Generations(IConnectionMultiplexer redis, TimeProvider time, ILedgerCounters? ledger = null)
        => new(redis, ledger ?? new EmptyLedger(), time, NullLogger<CounterGenerations>.Instance);

    public static LimitGuard Guard(IConnectionMultiplexer redis, CounterGenerations generations, TimeProvider time, LimitsOptions? options = null)
        => new(new LimitCounters(redis, generations, time), generations, Options.Create(options ?? new LimitsOptions()), new NoMeters(), time, NullLogger<LimitGuard>.Instance);

    /// <summary>The whole step, with these budgets for the caller.</summary>
    public LimitStep Step(string server, TimeProvider time, Caller caller, params Budget[] budgets) => Step(Standing(server), time, caller, new LimitsOptions(), budgets);

    public static LimitStep Step(IConnectionMultiplexer redis, TimeProvider time, Caller caller, LimitsOptions options, params Budget[] budgets)
    {
        var book = new BudgetBook(null!);
        book.Hold(caller.TenantId, budgets);
        var guard = Guard(redis, Generations(redis, time), time, options);
        return new LimitStep(guard, book, new BudgetAlarms(new KillSwitches(null!, time), null!, null!, time, NullLogger<BudgetAlarms>.Instance), time);
    }

    /// <summary>With counters that are older than any call, whatever clock the tests before have built some by.</summary>
    private IConnectionMultiplexer Standing(string server)
    {
        Connection(server).GetDatabase().StringSet(CounterGenerations.Mark, 1);
        return Connection(server);
    }

    private sealed class EmptyLedger : ILedgerCounters
    {
        public Task<Dictionary<string, LedgerCounter>> SumAsync(DateTimeOffset until, CancellationToken cancellationToken)
            => Task.FromResult(new Dictionary<string, LedgerCounter>(StringComparer.Ordinal));
    }

    private sealed class NoMeters : IMeterFactory
    {
        public Meter Create(MeterOptions options) => new(options);

        public void Dispose()
        {
        }
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
