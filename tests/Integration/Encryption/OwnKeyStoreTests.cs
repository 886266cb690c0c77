using System.Security.Cryptography;
using AiAspire.AppHost;
using AiAspire.Integration.Application;
using Aspire.Hosting.Testing;
using Npgsql;

namespace AiAspire.Integration.Encryption;

/// <summary>Tests over a key store of their own on the running system's PostgreSQL.</summary>
public abstract class OwnKeyStoreTests(RunningApplication application) : IAsyncLifetime
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("aiaspire-rotation-");
    private readonly string _database = $"keys_{RandomNumberGenerator.GetHexString(8, lowercase: true)}";

    protected static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    protected RunningApplication Application { get; } = application;

    /// <summary>To the key store, as the role of its processes.</summary>
    protected string KeysRole { get; private set; } = "";

    /// <summary>To the content database, as the role of its processes.</summary>
    protected string AppRole { get; private set; } = "";

    public async ValueTask InitializeAsync()
    {
        await using (var superuser = await Application.OpenSuperuserAsync())
            await superuser.ExecuteAsync($"CREATE DATABASE {_database}");
        await using (var schema = await OpenSuperuserAsync())
            await schema.ExecuteAsync(await File.ReadAllTextAsync(Path.Combine(DevelopmentSecrets.AppHostDirectory, "..", "Migrator", "Sql", "keystore.sql"), Cancelled));
        await using (await Application.OpenAsAsync("aiaspire_keys", "keystore"))
        {
            // Makes the login role.
        }

        await using (await Application.OpenAsAsync("aiaspire_app"))
        {
            // The same.
        }

        KeysRole = await ConnectionStringAsync("test_aiaspire_keys", "test");
        AppRole = new NpgsqlConnectionStringBuilder(await Application.App.GetConnectionStringAsync("aiaspire")) { Username = "test_aiaspire_app", Password = "test" }.ConnectionString;
    }

    public async ValueTask DisposeAsync()
    {
        NpgsqlConnection.ClearAllPools();
        await using (var superuser = await Application.OpenSuperuserAsync())
            await superuser.ExecuteAsync($"DROP DATABASE {_database} WITH (FORCE)");
        _folder.Delete(recursive: true);
        GC.SuppressFinalize(this);
    }

    private protected KeyStoreReplica Replica(params (string Key, string? Value)[] settings)
        => Replica(AppRole, settings);

    /// <param name="content">To the content database, where operations on keys are entered.</param>
    /// <param name="settings">Of the section <c>Encryption</c>.</param>
    private protected KeyStoreReplica Replica(string content, params (string Key, string? Value)[] settings)
        => new(content, KeysRole, [("TombstonesPath", Path.Combine(_folder.FullName, "tombstones.jsonl")), .. settings]);

    protected async Task<NpgsqlConnection> OpenSuperuserAsync()
    {
        var connection = new NpgsqlConnection(await ConnectionStringAsync(null, null));
        await connection.OpenAsync(Cancelled);
        return connection;
    }

    private async Task<string> ConnectionStringAsync(string? user, string? password)
    {
        var parts = new NpgsqlConnectionStringBuilder(await Application.App.GetConnectionStringAsync("keystore")) { Database = _database };
        if (user is not null)
            (parts.Username, parts.Password) = (user, password);
        return parts.ConnectionString;
    }

    protected static string MasterKey() => Convert.ToBase64String(RandomNumberGenerator.GetBytes(32));

    protected static Guid Id() => Guid.CreateVersion7(TimeProvider.System.GetUtcNow());
}
