using AiAspire.AppHost;
using Aspire.Hosting;
using Aspire.Hosting.Embedded;
using Aspire.Hosting.Testing;
using Npgsql;

namespace AiAspire.Load;

/// <summary>The whole application as its AppHost starts it, with fsync on, from an empty data folder.</summary>
internal sealed class LoadApplication : IAsyncDisposable
{
    private static readonly TimeSpan StartTimeout = TimeSpan.FromMinutes(3);

    private LoadApplication(DistributedApplication app, string superuser) => (App, Superuser) = (app, superuser);

    public DistributedApplication App { get; }

    /// <summary>Connection string of the content database, as whom no policy holds.</summary>
    public string Superuser { get; }

    public string ApiKey => DevelopmentSecrets.In(App.DataFolder).ApiKey;

    public static async Task<LoadApplication> StartAsync(TimeProvider time, Action<string> say, CancellationToken cancellationToken, params string[] arguments)
    {
        // The children inherit it: the upstream keeps no copy of what it receives.
        Environment.SetEnvironmentVariable("Simulator__RecordReceived", "false");
        var builder = await DistributedApplicationTestingBuilder.CreateAsync<Projects.AppHost>(["--Postgres:Fsync=on", .. arguments], cancellationToken);
        var app = await builder.BuildAsync(cancellationToken);
        say($"Starting the whole application ({BuildFacts.Configuration}).");
        await app.StartAsync(cancellationToken);
        using var timeout = new CancellationTokenSource(StartTimeout, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(timeout.Token, cancellationToken);
        foreach (var resource in new[] { "api", "workers" })
            await app.ResourceNotifications.WaitForResourceHealthyAsync(resource, either.Token);
        return new LoadApplication(app, await app.GetConnectionStringAsync("aiaspire", cancellationToken)
            ?? throw new InvalidOperationException("The database 'aiaspire' has no connection string."));
    }

    /// <summary>A login role in the role that owns nothing and that every policy holds.</summary>
    public async Task<string> ConnectionAsAppAsync(CancellationToken cancellationToken)
    {
        await using (var superuser = NpgsqlDataSource.Create(Superuser))
        await using (var command = superuser.CreateCommand(
            "DROP ROLE IF EXISTS load_app; CREATE ROLE load_app LOGIN PASSWORD 'load' IN ROLE aiaspire_app; GRANT CONNECT ON DATABASE aiaspire TO load_app"))
            await command.ExecuteNonQueryAsync(cancellationToken);
        return new NpgsqlConnectionStringBuilder(Superuser) { Username = "load_app", Password = "load" }.ConnectionString;
    }

    public ValueTask DisposeAsync() => App.DisposeAsync();
}
