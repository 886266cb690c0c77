using System.Diagnostics;
using System.Globalization;
using System.Reflection;
using System.Text.Json;
using Npgsql;

namespace AiAspire.Load.Throughput;

/// <summary>pg-boss in its own schema of the same database; its Node process runs one phase at a time. Fetched with npm into a folder of its own.</summary>
internal sealed class PgBossQueue : IQueue
{
    private readonly string _folder;
    private readonly string _connection;
    private readonly string _url;

    private PgBossQueue(string folder, string connection, string url, string version) => (_folder, _connection, _url, Name) = (folder, connection, url, $"pg-boss {version}");

    public string Name { get; }

    /// <param name="superuser">The database.</param>
    /// <param name="version">As npm names it.</param>
    /// <param name="cancellationToken">Cancels.</param>
    public static async Task<PgBossQueue> FetchAsync(string superuser, string version, CancellationToken cancellationToken)
    {
        var folder = Directory.CreateTempSubdirectory("aiaspire-pgboss-").FullName;
        await File.WriteAllTextAsync(Path.Combine(folder, "package.json"), """{"private":true,"type":"module"}""", cancellationToken);
        await using (var script = Assembly.GetExecutingAssembly().GetManifestResourceStream("AiAspire.Load.pgboss.mjs")!)
        await using (var file = File.Create(Path.Combine(folder, "pgboss.mjs")))
            await script.CopyToAsync(file, cancellationToken);
        await RunAsync(folder, "", ["npm", "install", "--no-audit", "--no-fund", "--loglevel=error", $"pg-boss@{version}"], cancellationToken);
        var settings = new NpgsqlConnectionStringBuilder(superuser);
        var url = string.Create(
            CultureInfo.InvariantCulture,
            $"postgres://{Uri.EscapeDataString(settings.Username!)}:{Uri.EscapeDataString(settings.Password ?? "")}@{settings.Host}:{settings.Port}/{settings.Database}");
        var queue = new PgBossQueue(folder, superuser, url, version);
        await queue.PhaseAsync("setup", 0, 0, cancellationToken);
        return queue;
    }

    public Task EnqueueSingleAsync(int jobs, int callers, CancellationToken cancellationToken) => PhaseAsync("single", jobs, callers, cancellationToken);

    public Task EnqueueBulkAsync(int jobs, CancellationToken cancellationToken) => PhaseAsync("bulk", jobs, 1, cancellationToken);

    /// <summary>The process's own clock, without its start.</summary>
    public double LastSeconds { get; private set; }

    public async Task<double> DrainAsync(int jobs, CancellationToken cancellationToken)
    {
        await PhaseAsync("drain", jobs, OurQueue.Concurrency, cancellationToken);
        return LastSeconds;
    }

    public async Task<Latencies> LatencyAsync(int jobs, TimeSpan apart, CancellationToken cancellationToken)
    {
        var result = await PhaseAsync("latency", jobs, 1, cancellationToken);
        return new Latencies(result.GetProperty("p50").GetDouble(), result.GetProperty("p95").GetDouble(), result.GetProperty("p99").GetDouble());
    }

    public async Task SeedFinishedAsync(int jobs, CancellationToken cancellationToken)
    {
        await using var source = NpgsqlDataSource.Create(_connection);
        await using var command = source.CreateCommand(
            $"""
            INSERT INTO pgboss.job (name, data, state, retry_limit, completed_on) SELECT 'load', jsonb_build_object('n', 1), 'completed', 2, now() FROM generate_series(1, {jobs})
            """);
        command.CommandTimeout = 600;
        await command.ExecuteNonQueryAsync(cancellationToken);
    }

    public ValueTask DisposeAsync()
    {
        Directory.Delete(_folder, recursive: true);
        return ValueTask.CompletedTask;
    }

    private async Task<JsonElement> PhaseAsync(string phase, int jobs, int concurrency, CancellationToken cancellationToken)
    {
        var output = await RunAsync(
            _folder, _url, ["node", "pgboss.mjs", phase, jobs.ToString(CultureInfo.InvariantCulture), concurrency.ToString(CultureInfo.InvariantCulture)], cancellationToken);
        var result = JsonElement.Parse(output.Trim().Split('\n')[^1]);
        if (result.TryGetProperty("seconds", out var seconds))
            LastSeconds = seconds.GetDouble();
        return result;
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
