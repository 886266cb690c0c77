using AiAspire.Integration.Application;
using AiAspire.Migrator;
using Aspire.Hosting.Testing;
using Microsoft.Extensions.Logging.Abstractions;
using Npgsql;

namespace AiAspire.Integration.Isolation;

/// <summary>A content database of its own on the running system's server, migrated as any other: one may break it on purpose.</summary>
internal sealed class ScratchDatabase : IAsyncDisposable
{
    private readonly RunningApplication _application;
    private readonly string _name;

    private ScratchDatabase(RunningApplication application, string name) => (_application, _name) = (application, name);

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    private string KeyStore => $"{_name}_keys";

    public static async Task<ScratchDatabase> CreateAsync(RunningApplication application)
    {
        var scratch = new ScratchDatabase(application, $"scratch_{Path.GetRandomFileName().Replace('.', '_')}");
        await using var superuser = await application.OpenSuperuserAsync();
        await superuser.ExecuteAsync($"CREATE DATABASE {scratch._name}");
        await superuser.ExecuteAsync($"CREATE DATABASE {scratch.KeyStore}");
        await scratch.MigrateAsync();
        await using (await application.OpenAsAsync("aiaspire_app"))
        {
            // Makes the login role.
        }

        await superuser.ExecuteAsync($"GRANT CONNECT ON DATABASE {scratch._name} TO test_aiaspire_app");
        return scratch;
    }

    /// <summary>As the Migrator does it at every start.</summary>
    public async Task MigrateAsync() => await new SchemaSetup(TimeProvider.System, NullLogger<SchemaSetup>.Instance).RunAsync(
        await ConnectionStringAsync(_name), await ConnectionStringAsync(KeyStore), new DatabaseOptions(), Cancelled);

    public async Task<NpgsqlConnection> OpenSuperuserAsync()
    {
        var connection = new NpgsqlConnection(await ConnectionStringAsync(_name));
        await connection.OpenAsync(Cancelled);
        return connection;
    }

    /// <summary>As the processes connect, with a pool of this size.</summary>
    public async Task<NpgsqlDataSource> AppAsync(int poolSize)
        => NpgsqlDataSource.Create(new NpgsqlConnectionStringBuilder(await ConnectionStringAsync(_name))
        {
            Username = "test_aiaspire_app",
            Password = "test",
            Pooling = true,
            MaxPoolSize = poolSize,
            // Longer than the whole of the requests that queue for a connection.
            Timeout = 120,
        });

    public async ValueTask DisposeAsync()
    {
        await using var superuser = await _application.OpenSuperuserAsync();
        foreach (var name in new[] { _name, KeyStore })
            await superuser.ExecuteAsync($"DROP DATABASE {name} WITH (FORCE)");
    }

    private async Task<string> ConnectionStringAsync(string database)
        => new NpgsqlConnectionStringBuilder(await _application.App.GetConnectionStringAsync("aiaspire")) { Database = database, Pooling = false }.ConnectionString;
}
