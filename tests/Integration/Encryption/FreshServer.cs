using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Aspire.Hosting.Embedded;
using Npgsql;

namespace AiAspire.Integration.Encryption;

/// <summary>A PostgreSQL server of its own, with an empty cluster in a temporary folder: what one restores a backup into.</summary>
internal sealed class FreshServer : IAsyncDisposable
{
    public const string RolePassword = "restored";
    private const string Superuser = "restorer";
    private static readonly TimeSpan Life = TimeSpan.FromMinutes(5);

    private readonly string _folder;
    private readonly int _port = FreePort();
    private Process? _server;

    private FreshServer(string folder) => _folder = folder;

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    /// <summary>Starts it with the login roles of the original, which a dump names but does not hold.</summary>
    public static async Task<FreshServer> StartAsync(PostgresBinaries binaries, IEnumerable<string> roles)
    {
        var server = new FreshServer(Directory.CreateDirectory(Path.Combine("/var/tmp", $"aiaspire-restore-{Path.GetRandomFileName()}")).FullName);
        try
        {
            await server.StartAsync(binaries);
            await using var connection = await server.OpenAsync("postgres");
            foreach (var role in roles)
            {
                await using var create = new NpgsqlCommand($"CREATE ROLE {role} LOGIN PASSWORD '{RolePassword}'", connection);
                await create.ExecuteNonQueryAsync(Cancelled);
            }

            return server;
        }
        catch
        {
            await server.DisposeAsync();
            throw;
        }
    }

    public string ConnectionString(string database, string? role = null) => new NpgsqlConnectionStringBuilder
    {
        Host = "127.0.0.1",
        Port = _port,
        Database = database,
        Username = role ?? Superuser,
        Password = role is null ? "" : RolePassword,
        Pooling = false,
    }.ConnectionString;

    public async Task<NpgsqlConnection> OpenAsync(string database)
    {
        var connection = new NpgsqlConnection(ConnectionString(database));
        await connection.OpenAsync(Cancelled);
        return connection;
    }

    public async Task<string> CreateDatabaseAsync(string name)
    {
        await using var connection = await OpenAsync("postgres");
        await using var create = new NpgsqlCommand($"CREATE DATABASE {name}", connection);
        await create.ExecuteNonQueryAsync(Cancelled);
        return ConnectionString(name);
    }

    public async ValueTask DisposeAsync()
    {
        if (_server is not null)
        {
            foreach (var signal in (int[])[Unix.SigQuit, Unix.SigKill])
            {
                foreach (var pid in Unix.Descendants(_server.Id).Append(_server.Id))
                    Unix.Signal(pid, signal);
                using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(10), TimeProvider.System);
                await _server.WaitForExitAsync(limit.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                if (_server.HasExited)
                    break;
            }

            _server.Dispose();
        }

        Directory.Delete(_folder, recursive: true);
    }

    private async Task StartAsync(PostgresBinaries binaries)
    {
        // PostgreSQL does not run as root.
        var user = UnprivilegedUser.ForRoot();
        if (user is not null)
            await ProcessStart.RunAsync(["chown", $"{user.Uid}:{user.Gid}", _folder], cancellationToken: Cancelled);
        var cluster = Path.Combine(_folder, "cluster");
        var (exitCode, output) = await ProcessStart.RunAsync(
            As([binaries.InitDb, $"--pgdata={cluster}", $"--username={Superuser}", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]), _folder, cancellationToken: Cancelled);
        Assert.True(exitCode == 0, $"initdb failed: {output}");

        // Should this process be killed, the server ends by itself.
        IReadOnlyList<string> command =
            [binaries.Server, "-D", cluster, "-p", $"{_port}", "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "fsync=off", "-c", "logging_collector=off"];
        if (Unix.Find("timeout") is { } timeout)
            command = [timeout, $"--signal=QUIT", $"{Life.TotalSeconds}", .. command];
        var start = ProcessStart.Plain(As(command));
        start.WorkingDirectory = _folder;
        start.RedirectStandardError = start.RedirectStandardOutput = true;
        _server = Process.Start(start)!;
        _server.ErrorDataReceived += (_, _) => { };
        _server.BeginErrorReadLine();
        _server.BeginOutputReadLine();
        var started = Stopwatch.GetTimestamp();
        while (await PostgresCluster.CheckAsync(_port, Superuser, "", Cancelled) is { } reason)
        {
            Assert.True(Stopwatch.GetElapsedTime(started) < TimeSpan.FromSeconds(30) && !_server.HasExited, $"The fresh server does not answer: {reason}");
            await Task.Delay(TimeSpan.FromMilliseconds(50), Cancelled);
        }

        IReadOnlyList<string> As(IReadOnlyList<string> plain) => user?.Wrap(plain) ?? plain;
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
