using AiAspire.Core.Data;
using Microsoft.EntityFrameworkCore.Migrations;
using Npgsql;

namespace AiAspire.Migrator;

/// <summary>
/// Tables partitioned by the time inside a UUIDv7 (RFC 9562: its first 48 bits are Unix milliseconds). The id is then part of the
/// partition key, so a primary key on it is unique over all partitions, and old months are dropped, not deleted.
/// </summary>
internal static class PartitionedTables
{
    /// <summary>Open attempts of all tenants, for the reconciler: the few rows that are under way.</summary>
    private const string OpenAttemptsIndexSql =
        $"CREATE INDEX IF NOT EXISTS ledger_attempts_open_idx ON {AiAspireDb.Schema}.ledger_attempts (tenant_id, lease_until) WHERE outcome = 'Open'";

    private static readonly string[] Tables = ["ledger_attempts", "ledger_requests", "job_history"];

    // Tables that EF makes as plain ones, made anew while they are still empty; with the column to partition by.
    private static readonly (string Table, string IdColumn)[] MadeAnew = [("job_history", "job_id")];

    /// <summary>Makes a table that EF has just created a partitioned one; EF has no word for it.</summary>
    public static void Convert(MigrationBuilder migrationBuilder, string table, string idColumn, string? indexedColumn = null)
    {
        migrationBuilder.Sql(
            $"""
            ALTER TABLE {AiAspireDb.Schema}.{table} RENAME TO {table}_template;
            CREATE TABLE {AiAspireDb.Schema}.{table} (LIKE {AiAspireDb.Schema}.{table}_template INCLUDING DEFAULTS) PARTITION BY RANGE ({idColumn});
            DROP TABLE {AiAspireDb.Schema}.{table}_template;
            ALTER TABLE {AiAspireDb.Schema}.{table} ADD CONSTRAINT {table}_pkey PRIMARY KEY (tenant_id, {idColumn});
            """);
        if (indexedColumn is not null)
            migrationBuilder.Sql($"CREATE INDEX {table}_tenant_id_{indexedColumn}_idx ON {AiAspireDb.Schema}.{table} (tenant_id, {indexedColumn})");
    }

    /// <summary>The same after the migrations, for tables whose migration knows nothing of it. Does nothing once a table is partitioned.</summary>
    public static async Task EnsurePartitionedAsync(NpgsqlConnection connection, CancellationToken cancellationToken)
    {
        foreach (var (table, idColumn) in MadeAnew)
        {
            await Sql.RunAsync(
                connection,
                $"""
                DO $$
                DECLARE
                    primary_key text;
                BEGIN
                    IF (SELECT relkind FROM pg_class WHERE oid = '{AiAspireDb.Schema}.{table}'::regclass) = 'r' THEN
                        IF EXISTS (SELECT FROM {AiAspireDb.Schema}.{table}) THEN
                            RAISE EXCEPTION 'table {table} holds rows and cannot be made a partitioned one';
                        END IF;
                        SELECT pg_get_constraintdef(oid) INTO primary_key FROM pg_constraint WHERE conrelid = '{AiAspireDb.Schema}.{table}'::regclass AND contype = 'p';
                        ALTER TABLE {AiAspireDb.Schema}.{table} RENAME TO {table}_template;
                        CREATE TABLE {AiAspireDb.Schema}.{table} (LIKE {AiAspireDb.Schema}.{table}_template INCLUDING DEFAULTS) PARTITION BY RANGE ({idColumn});
                        DROP TABLE {AiAspireDb.Schema}.{table}_template;
                        EXECUTE 'ALTER TABLE {AiAspireDb.Schema}.{table} ADD CONSTRAINT {table}_pkey ' || primary_key;
                    END IF;
                END
                $$
                """,
                cancellationToken);
        }
    }

    /// <summary>Creates the months from the last one to a few ahead, and the default partition that catches what falls outside.</summary>
    public static async Task EnsureMonthsAsync(NpgsqlConnection connection, DateTimeOffset now, CancellationToken cancellationToken)
    {
        foreach (var table in Tables)
            await ExecuteAsync($"CREATE TABLE IF NOT EXISTS {AiAspireDb.Schema}.{table}_default PARTITION OF {AiAspireDb.Schema}.{table} DEFAULT");
        await Sql.RunFileAsync(connection, "partitions.sql", cancellationToken);
        await ExecuteAsync($"SELECT {AiAspireDb.Schema}.make_partitions($1)", now);
        await ExecuteAsync(OpenAttemptsIndexSql);

        async Task ExecuteAsync(string sql, params object[] values)
        {
            await using var command = new NpgsqlCommand(sql, connection);
            foreach (var value in values)
                command.Parameters.Add(new NpgsqlParameter { Value = value });
            await command.ExecuteNonQueryAsync(cancellationToken);
        }
    }
}
