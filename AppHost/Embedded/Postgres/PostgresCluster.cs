using System.Security.Cryptography;
using System.Text;
using Npgsql;

namespace Aspire.Hosting.Embedded;

/// <summary>A database cluster of ours: where it is, how it comes into being, and how its server is started.</summary>
internal sealed class PostgresCluster(DataFolder data, UnprivilegedUser? user, Action<string> say)
{
    private const string OwnerMark = "aiaspire-owner";
    private string _folder = Path.Combine(data.Path, "postgres");

    private string Files => Path.Combine(_folder, "cluster");

    /// <summary>The major version the existing cluster was made by; null when there is none yet.</summary>
    public async Task<int?> LocateAsync(CancellationToken cancellationToken)
    {
        if (user is not null && !await CanReachAsync(data.Path, cancellationToken))
        {
            var hash = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(data.Path)))[..12];
            _folder = Path.Combine("/var/tmp", $"aiaspire-{hash}");
            say($"User '{user.Name}', whom PostgreSQL runs as, cannot reach {data.Path}: the database is kept in {_folder}.");
        }

        var mark = Path.Combine(_folder, OwnerMark);
        if (Directory.Exists(_folder) && (!File.Exists(mark) || await File.ReadAllTextAsync(mark, cancellationToken) != data.Id))
        {
            // What is left of a data folder that was deleted by hand, or of a creation that was cut off. Its passwords are gone.
            Directory.Delete(_folder, recursive: true);
        }

        Directory.CreateDirectory(_folder);
        await File.WriteAllTextAsync(mark, data.Id, cancellationToken);
        if (user is not null)
            await OwnAsync(_folder, cancellationToken);

        var version = Path.Combine(Files, "PG_VERSION");
        return File.Exists(version) ? int.Parse(await File.ReadAllTextAsync(version, cancellationToken)) : null;
    }

    /// <summary>Makes the cluster. It appears whole or not at all.</summary>
    public async Task CreateAsync(PostgresBinaries binaries, string userName, string password, bool durable, CancellationToken cancellationToken)
    {
        var draft = Files + ".new";
        if (Directory.Exists(draft))
            Directory.Delete(draft, recursive: true);

        var passwordFile = Path.Combine(_folder, "password");
        try
        {
            DataFolder.WritePrivate(passwordFile, password);
            if (user is not null)
                await OwnAsync(passwordFile, cancellationToken);

            List<string> command =
            [
                binaries.InitDb, $"--pgdata={draft}", $"--username={userName}", $"--pwfile={passwordFile}",
                "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C",
            ];
            if (!durable)
                command.Add("--no-sync");
            var (exitCode, output) = await ProcessStart.RunAsync(AsUser(command), _folder, cancellationToken: cancellationToken);
            if (exitCode != 0)
                throw new DistributedApplicationException($"initdb of {binaries.Folder} failed: {output.Trim()}");
        }
        finally
        {
            File.Delete(passwordFile);
        }

        Directory.Move(draft, Files);
    }

    /// <summary>
    /// Clears up after a server that was killed together with its AppHost. The data folder is locked by us, so a server that still
    /// runs here belongs to nobody; and PostgreSQL itself would take any process that got the old pid for a server.
    /// </summary>
    public async Task RecoverAsync(TimeProvider time, CancellationToken cancellationToken)
    {
        var pidFile = Path.Combine(Files, "postmaster.pid");
        if (!File.Exists(pidFile) || !int.TryParse((await File.ReadAllLinesAsync(pidFile, cancellationToken)).FirstOrDefault(), out var pid))
            return;

        if (Unix.CommandLineOf(pid)?.Contains(Files, StringComparison.Ordinal) != true)
        {
            File.Delete(pidFile);
            return;
        }

        for (var signal = Unix.SigQuit; Unix.IsAlive(pid); signal = Unix.SigKill)
        {
            say($"A PostgreSQL server of an earlier run (process {pid}) is still there: stopping it.");
            Unix.Signal(pid, signal);
            for (var wait = 0; wait < 30 && Unix.IsAlive(pid); wait++)
                await Task.Delay(TimeSpan.FromMilliseconds(100), time, cancellationToken);
        }
    }

    /// <summary>The server: loopback TCP only, no socket file, and room for several replicas' connection pools.</summary>
    public ProcessSpec Server(PostgresBinaries binaries, int port, bool durable)
    {
        List<string> command = [binaries.Server, "-D", Files, "-p", port.ToString()];
        List<string> settings =
        [
            "listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=200", "shared_buffers=128MB",
            "logging_collector=off", "log_timezone=UTC", "timezone=UTC",
        ];
        if (!durable)
            settings.AddRange(["fsync=off", "full_page_writes=off"]); // not synchronous_commit: a killed server must keep what it confirmed
        foreach (var setting in settings)
            command.AddRange(["-c", setting]);

        return new ProcessSpec(AsUser(command), _folder)
        {
            StopSignal = Unix.SigInt, // "fast shutdown": ends sessions, then writes a checkpoint
            Grace = TimeSpan.FromSeconds(15),
            HasChildren = true,
        };
    }

    /// <summary>Null when the server answers, else why not.</summary>
    public static async Task<string?> CheckAsync(int port, string userName, string password, CancellationToken cancellationToken)
    {
        var connectionString = new NpgsqlConnectionStringBuilder
        {
            Host = "127.0.0.1",
            Port = port,
            Username = userName,
            Password = password,
            Database = "postgres",
            Pooling = false,
            Timeout = 3,
            CommandTimeout = 3,
        };
        try
        {
            await using var connection = new NpgsqlConnection(connectionString.ConnectionString);
            await connection.OpenAsync(cancellationToken);
            await using var command = new NpgsqlCommand("SELECT 1", connection);
            await command.ExecuteScalarAsync(cancellationToken);
            return null;
        }
        catch (Exception e) when (e is NpgsqlException or TimeoutException)
        {
            return e.Message;
        }
    }

    private IReadOnlyList<string> AsUser(IReadOnlyList<string> command) => user?.Wrap(command) ?? command;

    private async Task<bool> CanReachAsync(string folder, CancellationToken cancellationToken) =>
        (await ProcessStart.RunAsync(user!.Wrap(["/bin/sh", "-c", "cd \"$0\"", folder]), cancellationToken: cancellationToken)).ExitCode == 0;

    private async Task OwnAsync(string path, CancellationToken cancellationToken) =>
        await ProcessStart.RunAsync(["chown", $"{user!.Uid}:{user.Gid}", path], cancellationToken: cancellationToken);
}
