using Aspire.Hosting.Embedded;
using Npgsql;

namespace AiAspire.Integration.Encryption;

/// <summary>The machine's <c>pg_dump</c> and <c>pg_restore</c>, of the same major version as the server that runs.</summary>
internal sealed class PostgresTools
{
    private PostgresTools(PostgresBinaries binaries) => Binaries = binaries;

    public PostgresBinaries Binaries { get; }

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    public static async Task<PostgresTools> ForAsync(NpgsqlConnection server)
    {
        var found = await PostgresBinaries.FindAsync(PostgresBinaries.UsualFolders(), Cancelled);
        var binaries = found.FirstOrDefault(b => b.Major == server.PostgreSqlVersion.Major && File.Exists(Path.Combine(b.Folder, "pg_dump")));
        Assert.True(binaries is not null, $"This proof needs pg_dump {server.PostgreSqlVersion.Major} beside its server: install the whole PostgreSQL of that version.");
        return new PostgresTools(binaries);
    }

    /// <summary>A backup for <see cref="RestoreAsync"/>.</summary>
    public Task DumpAsync(string connectionString, string file) => RunAsync("pg_dump", "--format=custom", $"--file={file}", $"--dbname={Url(connectionString)}");

    /// <summary>The same as SQL text, bytes in hex.</summary>
    public Task DumpTextAsync(string connectionString, string file) => RunAsync("pg_dump", "--format=plain", $"--file={file}", $"--dbname={Url(connectionString)}");

    public Task RestoreAsync(string connectionString, string file) => RunAsync("pg_restore", "--exit-on-error", $"--dbname={Url(connectionString)}", file);

    private async Task RunAsync(string tool, params string[] arguments)
    {
        var (exitCode, output) = await ProcessStart.RunAsync([Path.Combine(Binaries.Folder, tool), .. arguments], cancellationToken: Cancelled);
        Assert.True(exitCode == 0, $"{tool} failed: {output}");
    }

    private static string Url(string connectionString)
    {
        var parts = new NpgsqlConnectionStringBuilder(connectionString);
        return $"postgresql://{parts.Username}:{Uri.EscapeDataString(parts.Password ?? "")}@{parts.Host}:{parts.Port}/{parts.Database}";
    }
}
