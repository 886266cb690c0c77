using System.Net.Http.Headers;
using AiAspire.AppHost;
using AiAspire.Core.Tenancy;
using AiAspire.Integration.Sdk;
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

    /// <summary>
    /// Further providers: over the same Simulator one with a rate limit and time limits of three seconds and one without a key, and one that is down. Single faults
    /// that other tests inject must open no breaker, and an open one is to close soon.
    /// </summary>
    private static readonly string[] Routing =
    [
        "--Routing:BreakerMinimumCalls=12", "--Routing:BreakSeconds=1", "--Routing:MaxBreakSeconds=2", "--Schedules:ProviderProbeCron=0/2 * * * * ?",
        "--Providers:sim-anthropic:SlaPercent=99.5",
        .. Provider("sim-limited", "limited-small", "sim-small", "ApiKey=sim-key-limited", "FirstTokenSeconds=3", "IdleSeconds=3", "Models:0:RequestsPerMinute=600",
            "Models:1:Id=quick-reasoning", "Models:1:UpstreamModel=sim-reasoning", "Models:1:Price:Input=2", "Models:1:Price:CachedInput=0.5", "Models:1:Price:Output=8",
            "Models:2:Id=stormy", "Models:2:UpstreamModel=sim-large", "Models:2:Price:Input=2.5", "Models:2:Price:CachedInput=1.25", "Models:2:Price:Output=10"),
        .. Provider("sim-priced", "priced-large", "sim-large", "ApiKey=sim-key-priced"),
        .. Provider("sim-rotating", "rotating-large", "sim-large"),
        // Nobody listens there.
        .. Provider("sim-gone", "gone-embedding", "sim-embedding", "ApiKey=sim-key-gone", "BaseAddress=http://127.0.0.1:9/v1", "Models:0:Kind=Embedding", "Models:0:VectorSpace=sim-embedding"),
        "--Aliases:embeddings-anywhere:0=gone-embedding", "--Aliases:embeddings-anywhere:1=sim-embedding",
        "--Aliases:limited:0=limited-small", "--Aliases:limited:1=sim-anthropic-small", "--Aliases:quick:0=quick-reasoning", "--Aliases:quick:1=sim-anthropic-small",
        "--Aliases:storm:0=stormy", "--Aliases:storm:1=sim-anthropic-small",
    ];

    private DistributedApplication? _app;

    public DistributedApplication App => _app ?? throw new InvalidOperationException("The application has not started.");

    /// <summary>The key of acme's developer: tenant administrator and operator, no token limit.</summary>
    public string DeveloperKey { get; private set; } = "";

    public Uri Api => App.GetEndpoint("api", "http");

    private static IEnumerable<string> Provider(string name, string model, string upstream, params string[] more)
        => ((string[])[$"Company={name}", "Wire=OpenAI", "BaseAddress=http://sim-openai/v1", $"Models:0:Id={model}", $"Models:0:UpstreamModel={upstream}", "Models:0:Price:Input=1", "Models:0:Price:Output=4", .. more])
            .Select(s => $"--Providers:{name}:{s}");

    public async ValueTask InitializeAsync()
    {
        JsSdk.BeginFetching();
        using var timeout = new CancellationTokenSource(StartTimeout);
        var builder = await DistributedApplicationTestingBuilder.CreateAsync<Projects.AppHost>(
            ["--Workers:LeaseSeconds=3", "--Workers:PollSeconds=0.2", "--Workers:DrainSeconds=2", "--Schedules:RetentionCron=0/2 * * * * ?", "--Api:MaxRequestBytes=2000000", "--Idempotency:LeaseSeconds=3", "--Files:MaxBytes=4000000", "--Files:MaxUserBytes=16000000", "--Batches:LinesPerJob=20", "--Batches:SliceSeconds=1",
                "--Ledger:AttemptLeaseSeconds=8", "--Schedules:ReconcileCron=0/2 * * * * ?", "--Schedules:UsageRollupCron=1/2 * * * * ?",
                "--Notifications:AllowPrivateTargets=true", "--Notifications:PollSeconds=0.2", "--Notifications:FirstRetrySeconds=0.2",
                // By the clock on New Year's Day only: its test asks for it.
                "--Evaluations:Suite=support", "--Evaluations:Model=sim-small", "--Evaluations:Baseline=sim-large", "--Evaluations:PollSeconds=0.2", "--Evaluations:Cron=0 0 0 1 1 ?",
                "--Notifications:LeaseSeconds=5", "--Notifications:WebhookTimeoutSeconds=4", "--Notifications:Mail:TimeoutSeconds=4", .. Routing], timeout.Token);
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
