using AiAspire.AppHost;
using Aspire.Hosting;
using Aspire.Hosting.Embedded;
using Aspire.Hosting.Testing;
using Npgsql;

namespace AiAspire.Bench;

/// <summary>What the ledger holds after the run.</summary>
/// <param name="Succeeded">Attempts settled as served.</param>
/// <param name="Settled">Attempts settled in whatever way.</param>
/// <param name="Open">Attempts whose books were never closed.</param>
/// <param name="Requests">Requests charged.</param>
/// <param name="Messages">Encrypted messages kept.</param>
internal sealed record Books(long Succeeded, long Settled, long Open, long Requests, long Messages);

/// <summary>
/// The whole application as its AppHost starts it: PostgreSQL with fsync, Garnet, migrator, both Simulators, Api, workers and
/// evaluator, each a process, from an empty data folder.
/// </summary>
internal sealed class WholeApplication : IAsyncDisposable
{
    /// <summary>Far above what a run can use: limits are counted, but never reached.</summary>
    private const long AmpleTokens = 1_000_000_000_000;

    private static readonly TimeSpan StartTimeout = TimeSpan.FromMinutes(3);
    private readonly DistributedApplication _app;
    private readonly NpgsqlDataSource _superuser;

    private WholeApplication(DistributedApplication app, NpgsqlDataSource superuser) => (_app, _superuser) = (app, superuser);

    /// <summary>The content database, past all policies.</summary>
    public NpgsqlDataSource Superuser => _superuser;

    public string ContentConnection { get; private init; } = "";

    public string KeyStoreConnection { get; private init; } = "";

    public string MasterKeyFile => DevelopmentSecrets.In(_app.DataFolder).MasterKeyFile;

    public Uri Upstream => _app.GetEndpoint("sim-openai");

    public Uri Api => _app.GetEndpoint("api");

    public HttpClient ApiClient() => _app.CreateHttpClient("api");

    /// <summary>The key of the seeded developer.</summary>
    public string ApiKey { get; private set; } = "";

    /// <summary>Server and durability settings, as the server itself tells them.</summary>
    public string Database { get; private set; } = "";

    public static async Task<WholeApplication> StartAsync(TimeProvider time, Action<string> say, CancellationToken cancellationToken)
    {
        // The children inherit it: the upstream keeps no copy of what it receives.
        Environment.SetEnvironmentVariable("Simulator__RecordReceived", "false");
        var builder = await DistributedApplicationTestingBuilder.CreateAsync<Projects.AppHost>(["--Postgres:Fsync=on"], cancellationToken);
        var app = await builder.BuildAsync(cancellationToken);
        var key = DevelopmentSecrets.In(app.DataFolder).ApiKey;
        say($"Starting the whole application ({BuildFacts.Configuration}).");
        await app.StartAsync(cancellationToken);
        using var timeout = new CancellationTokenSource(StartTimeout, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(timeout.Token, cancellationToken);
        await app.ResourceNotifications.WaitForResourceHealthyAsync("api", either.Token);
        await app.ResourceNotifications.WaitForResourceHealthyAsync("workers", either.Token);
        await app.ResourceNotifications.WaitForResourceHealthyAsync("evaluator", either.Token);
        var connection = await app.GetConnectionStringAsync("aiaspire", cancellationToken)
            ?? throw new InvalidOperationException("The database 'aiaspire' has no connection string.");
        var whole = new WholeApplication(app, NpgsqlDataSource.Create(connection))
        {
            ApiKey = key,
            ContentConnection = connection,
            KeyStoreConnection = await app.GetConnectionStringAsync("keystore", cancellationToken) ?? throw new InvalidOperationException("The database 'keystore' has no connection string."),
        };
        await whole.LimitAsync(cancellationToken);
        say($"Ready: the Api is process {app.GetResourceProcessId("api")}.");
        return whole;
    }

    /// <summary>Processes by what they are for; PostgreSQL's backends beneath their server.</summary>
    public IReadOnlyList<int> ProcessesOf(string resource, int replica = 0) => _app.GetResourceProcessId(resource, replica) is { } pid ? [pid, .. Unix.Descendants(pid)] : [];

    public async Task<Books> ReadBooksAsync(CancellationToken cancellationToken)
    {
        await using var command = _superuser.CreateCommand(
            """
            SELECT count(*) FILTER (WHERE outcome = 'Succeeded'), count(*) FILTER (WHERE outcome <> 'Open'), count(*) FILTER (WHERE outcome = 'Open'),
                (SELECT count(*) FROM aiaspire.ledger_requests), (SELECT count(*) FROM aiaspire.messages)
            FROM aiaspire.ledger_attempts
            """);
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        await reader.ReadAsync(cancellationToken);
        return new Books(reader.GetInt64(0), reader.GetInt64(1), reader.GetInt64(2), reader.GetInt64(3), reader.GetInt64(4));
    }

    public async ValueTask DisposeAsync()
    {
        await _superuser.DisposeAsync();
        await _app.DisposeAsync();
    }

    /// <summary>
    /// The seeded developer has no limit, and a call without limits skips Redis altogether. A measurement must not profit from that:
    /// the developer and the tenant get limits, far away, before the first request.
    /// </summary>
    private async Task LimitAsync(CancellationToken cancellationToken)
    {
        await using var command = _superuser.CreateCommand(
            $"""
            UPDATE aiaspire.tiers SET tokens_per_day = {AmpleTokens} WHERE name = 'developer';
            UPDATE aiaspire.tenants SET tokens_per_day = {AmpleTokens}, tokens_per_minute = {AmpleTokens} WHERE slug = 'acme';
            SELECT 'PostgreSQL ' || current_setting('server_version') || ', fsync ' || current_setting('fsync')
                || ', synchronous_commit ' || current_setting('synchronous_commit');
            """);
        Database = (string)(await command.ExecuteScalarAsync(cancellationToken))!;
    }
}
