using Npgsql;
using Quartz;

namespace AiAspire.Migrator;

/// <summary>
/// The tables of the clustered scheduler, in a schema of their own, from the script inside the Quartz assembly: the processes that
/// run schedules may not create tables, so the migrator does it for them.
/// </summary>
internal static class QuartzSchema
{
    private const string Script = "Quartz.Impl.AdoJobStore.Schema.create_postgres.sql";

    public static async Task EnsureAsync(NpgsqlConnection connection, CancellationToken cancellationToken)
    {
        using var reader = new StreamReader(typeof(IScheduler).Assembly.GetManifestResourceStream(Script)
            ?? throw new InvalidOperationException($"This version of Quartz has no {Script}: look for its successor before upgrading."));
        // The script's own placeholders: {0} the table prefix with its schema, {1} without.
        var sql = (await reader.ReadToEndAsync(cancellationToken))
            .Replace("{0}", "quartz.qrtz_", StringComparison.Ordinal)
            .Replace("{1}", "qrtz_", StringComparison.Ordinal);
        await Sql.RunAsync(connection, "CREATE SCHEMA IF NOT EXISTS quartz;" + sql, cancellationToken);
    }
}
