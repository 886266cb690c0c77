using System.Reflection;
using Npgsql;

namespace AiAspire.Migrator;

internal static class Sql
{
    public static Task RunFileAsync(NpgsqlConnection connection, string name, CancellationToken cancellationToken)
        => RunAsync(connection, Read(name), cancellationToken);

    public static async Task RunAsync(NpgsqlConnection connection, string sql, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand(sql, connection);
        await command.ExecuteNonQueryAsync(cancellationToken);
    }

    private static string Read(string name)
    {
        using var reader = new StreamReader(Assembly.GetExecutingAssembly().GetManifestResourceStream($"AiAspire.Migrator.Sql.{name}")!);
        return reader.ReadToEnd();
    }
}
