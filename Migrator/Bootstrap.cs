using Npgsql;

namespace AiAspire.Migrator;

/// <summary>Databases and roles, made by a role that may; everything after runs as the owner.</summary>
internal static class Bootstrap
{
    private const string DuplicateDatabase = "42P04";

    public static async Task CreateDatabaseAsync(string connectionString, CancellationToken cancellationToken)
    {
        var target = new NpgsqlConnectionStringBuilder(connectionString);
        var name = target.Database ?? throw new InvalidOperationException("The connection string names no database.");
        target.Database = "postgres";
        await using var connection = new NpgsqlConnection(target.ConnectionString);
        await connection.OpenAsync(cancellationToken);
        await using var exists = new NpgsqlCommand("SELECT 1 FROM pg_database WHERE datname = $1", connection)
        {
            Parameters = { new NpgsqlParameter<string> { TypedValue = name } },
        };
        if (await exists.ExecuteScalarAsync(cancellationToken) is not null)
            return;
        try
        {
            await using var create = new NpgsqlCommand($"CREATE DATABASE {Identifier(name)}", connection);
            await create.ExecuteNonQueryAsync(cancellationToken);
        }
        catch (PostgresException e) when (e.SqlState == DuplicateDatabase)
        {
            // Another migrator was faster.
        }
    }

    public static async Task CreateRolesAsync(NpgsqlConnection connection, DatabaseOptions options, CancellationToken cancellationToken)
    {
        await Sql.RunFileAsync(connection, "bootstrap.sql", cancellationToken);
        foreach (var (role, password) in options.Passwords)
        {
            var name = $"aiaspire_{role.ToLowerInvariant()}";
            // ALTER ROLE takes no parameters; format() quotes both.
            await using var command = new NpgsqlCommand("SELECT format('ALTER ROLE %I PASSWORD %L', $1, $2)", connection)
            {
                Parameters = { new NpgsqlParameter<string> { TypedValue = name }, new NpgsqlParameter<string> { TypedValue = password } },
            };
            await Sql.RunAsync(connection, (string)(await command.ExecuteScalarAsync(cancellationToken))!, cancellationToken);
        }
    }

    /// <summary>Gives the database to the owner and closes it to everyone else.</summary>
    public static async Task HandOverAsync(NpgsqlConnection connection, CancellationToken cancellationToken, params string[] roles)
    {
        var database = Identifier(connection.Database);
        await Sql.RunAsync(connection, $"REVOKE ALL ON DATABASE {database} FROM PUBLIC", cancellationToken);
        await Sql.RunAsync(connection, $"GRANT CONNECT ON DATABASE {database} TO {string.Join(", ", roles)}", cancellationToken);
        await Sql.RunAsync(connection, $"GRANT CREATE, CONNECT ON DATABASE {database} TO aiaspire_owner", cancellationToken);
    }

    private static string Identifier(string name) => "\"" + name.Replace("\"", "\"\"", StringComparison.Ordinal) + "\"";
}
