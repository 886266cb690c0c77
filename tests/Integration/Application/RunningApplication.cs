using System.Net.Http.Headers;
using AiAspire.AppHost;
using AiAspire.Core.Tenancy;
using Aspire.Hosting;
using Aspire.Hosting.Testing;
using Npgsql;

namespace AiAspire.Integration.Application;

/// <summary>
/// The whole system as its AppHost starts it, once for all tests of the collection, which run one after the other. Retention fires
/// every two seconds and leases are short, so that tests need not wait.
/// </summary>
public sealed class RunningApplication : IAsyncLifetime
{
    private static readonly TimeSpan StartTimeout = TimeSpan.FromMinutes(3);
    private DistributedApplication? _app;

    public DistributedApplication App => _app ?? throw new InvalidOperationException("The application has not started.");

    /// <summary>The key of acme's developer: tenant administrator and operator, no token limit.</summary>
    public string DeveloperKey { get; private set; } = "";

    public Uri Api => App.GetEndpoint("api", "http");

    public async ValueTask InitializeAsync()
    {
        using var timeout = new CancellationTokenSource(StartTimeout);
        var builder = await DistributedApplicationTestingBuilder.CreateAsync<Projects.AppHost>(
            ["--Workers:LeaseSeconds=3", "--Workers:PollSeconds=0.2", "--Schedules:RetentionCron=0/2 * * * * ?", "--Api:MaxRequestBytes=2000000", "--Idempotency:LeaseSeconds=3",
                "--Ledger:AttemptLeaseSeconds=8", "--Schedules:ReconcileCron=0/2 * * * * ?", "--Schedules:UsageRollupCron=1/2 * * * * ?",
                "--Notifications:AllowPrivateTargets=true", "--Notifications:PollSeconds=0.2", "--Notifications:FirstRetrySeconds=0.2",
                "--Notifications:LeaseSeconds=5", "--Notifications:WebhookTimeoutSeconds=4", "--Notifications:Mail:TimeoutSeconds=4"], timeout.Token);
        _app = await builder.BuildAsync(timeout.Token);
        await _app.StartAsync(timeout.Token);
        foreach (var resource in new[] { "api", "workers", "evaluator" })
            await _app.ResourceNotifications.WaitForResourceHealthyAsync(resource, timeout.Token);
        DeveloperKey = DevelopmentSecrets.In(_app.DataFolder).ApiKey;
    }

    public async ValueTask DisposeAsync()
    {
        if (_app is not null)
            await _app.DisposeAsync();
    }

    /// <summary>The key of one user of the seed (carol of globex).</summary>
    public string UserKey(string user) => DevelopmentKeys.User(DeveloperKey, user);

    /// <summary>The key with which a tenant's own backend acts for its users.</summary>
    public string TenantKey(string tenant) => DevelopmentKeys.Tenant(DeveloperKey, tenant);

    /// <summary>A token of the development issuer.</summary>
    public string Token(string tenant, string user, params string[] roles)
    {
        using var key = DevelopmentSecrets.In(App.DataFolder).IssuerKey();
        return TokenVerb.Sign(key, tenant, user, roles, TimeSpan.FromMinutes(10), TimeProvider.System);
    }

    /// <summary>A client of the api with this bearer credential; null for none.</summary>
    public HttpClient Client(string? credential)
    {
        var client = App.CreateHttpClient("api");
        if (credential is not null)
            client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", credential);
        return client;
    }

    public HttpClient Developer() => Client(DeveloperKey);

    /// <summary>The database as the superuser, whom no policy holds: for arranging and for checking what is really there.</summary>
    public async Task<NpgsqlConnection> OpenSuperuserAsync(string database = "aiaspire")
    {
        var connection = new NpgsqlConnection(await App.GetConnectionStringAsync(database));
        await connection.OpenAsync();
        return connection;
    }

    /// <summary>The database as one of the login roles.</summary>
    public async Task<NpgsqlConnection> OpenAsAsync(string role, string database = "aiaspire")
    {
        await using var superuser = await OpenSuperuserAsync(database);
        await using (var command = new NpgsqlCommand($"CREATE ROLE test_{role} LOGIN PASSWORD 'test' IN ROLE {role}", superuser))
        {
            try
            {
                await command.ExecuteNonQueryAsync();
            }
            catch (PostgresException e) when (e.SqlState == PostgresErrorCodes.DuplicateObject)
            {
                // Made by an earlier test.
            }
        }

        await using (var connect = new NpgsqlCommand($"GRANT CONNECT ON DATABASE {database} TO test_{role}", superuser))
            await connect.ExecuteNonQueryAsync();
        var settings = new NpgsqlConnectionStringBuilder(await App.GetConnectionStringAsync(database)) { Username = $"test_{role}", Password = "test", Pooling = false };
        var connection = new NpgsqlConnection(settings.ConnectionString);
        await connection.OpenAsync();
        return connection;
    }
}

[CollectionDefinition(Name)]
public sealed class ApplicationCollection : ICollectionFixture<RunningApplication>
{
    public const string Name = "application";
}
