using AiAspire.Core.Data;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Logging;
using Npgsql;
using Quartz;

namespace AiAspire.Migrator;

/// <summary>Brings both databases to the schema of this version. Safe to run again, and by several at once.</summary>
internal sealed partial class SchemaSetup(TimeProvider time, ILogger<SchemaSetup> logger)
{
    /// <summary>Any number that no other program takes: migrators wait for one another on it.</summary>
    private const long MigrationLock = 0x4149_4153;

    /// <summary>
    /// What the functions do, by subject, those that the others call first, after those of earlier versions are gone; <c>security.sql</c>, run after them, says who may call them and
    /// whose rights they have.
    /// </summary>
    private static readonly string[] FunctionFiles =
        ["stale.sql", "partitions.sql", "scope.sql", "ids.sql", "jobs.sql", "ledger.sql", "usage.sql", "tenancy.sql", "audit.sql", "notifications.sql", "retention.sql", "idempotency.sql"];

    public async Task RunAsync(string contentConnection, string keyStoreConnection, DatabaseOptions options, CancellationToken cancellationToken)
    {
        if (options.Bootstrap)
        {
            await Bootstrap.CreateDatabaseAsync(contentConnection, cancellationToken);
            await Bootstrap.CreateDatabaseAsync(keyStoreConnection, cancellationToken);
        }

        await using var content = await OpenAsync(contentConnection, cancellationToken);
        await Sql.RunAsync(content, $"SELECT pg_advisory_lock({MigrationLock})", cancellationToken);
        if (options.Bootstrap)
        {
            await Bootstrap.CreateRolesAsync(content, options, cancellationToken);
            await Bootstrap.HandOverAsync(content, cancellationToken, "aiaspire_migrator", "aiaspire_app", "aiaspire_ledger", "aiaspire_backup");
        }

        LogStep(logger, "schema");
        await MigrateAsync(contentConnection, cancellationToken);
        LogStep(logger, "key store");
        await using var keyStore = await OpenAsync(keyStoreConnection, cancellationToken);
        if (options.Bootstrap)
            await Bootstrap.HandOverAsync(keyStore, cancellationToken, "aiaspire_migrator", "aiaspire_keys");
        await Sql.RunAsync(keyStore, "SET ROLE aiaspire_owner", cancellationToken);
        await Sql.RunFileAsync(keyStore, "keystore.sql", cancellationToken);
        await RowSecurityCheck.ThrowIfUnsafeAsync(keyStore, "keystore", cancellationToken);
    }

    private async Task MigrateAsync(string connectionString, CancellationToken cancellationToken)
    {
        await using var dataSource = NpgsqlDataSource.Create(AsOwner(connectionString));
        await using (var db = new AiAspireDb(DataRegistration.Options(dataSource), TenantScope.Platform))
            await db.Database.MigrateAsync(cancellationToken);
        await using var connection = await dataSource.OpenConnectionAsync(cancellationToken);
        await PartitionedTables.EnsurePartitionedAsync(connection, cancellationToken);
        await PartitionedTables.EnsureMonthsAsync(connection, time.GetUtcNow(), cancellationToken);
        await QuartzSchema.EnsureAsync(connection, cancellationToken);
        await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
        foreach (var file in FunctionFiles)
            await Sql.RunFileAsync(connection, file, cancellationToken);
        await Sql.RunFileAsync(connection, "security.sql", cancellationToken);
        await RowSecurityCheck.ThrowIfUnsafeAsync(connection, AiAspireDb.Schema, cancellationToken);
        await transaction.CommitAsync(cancellationToken);
    }

    /// <summary>Whoever logs in, what it creates belongs to the owner role.</summary>
    internal static string AsOwner(string connectionString)
        => new NpgsqlConnectionStringBuilder(connectionString) { Options = "-c role=aiaspire_owner", Pooling = false }.ConnectionString;

    private static async Task<NpgsqlConnection> OpenAsync(string connectionString, CancellationToken cancellationToken)
    {
        var connection = new NpgsqlConnection(new NpgsqlConnectionStringBuilder(connectionString) { Pooling = false }.ConnectionString);
        await connection.OpenAsync(cancellationToken);
        return connection;
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "Bringing up to date: {Step}")]
    private static partial void LogStep(ILogger logger, string step);
}
