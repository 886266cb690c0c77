using AiAspire.ServiceDefaults.Postgres;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Npgsql;

namespace AiAspire.ServiceDefaults;

/// <summary>PostgreSQL as every process uses it: one pooled data source per connection, logged, traced, health-checked.</summary>
public static class PostgresExtensions
{
    private const string PlaintextSetting = "Database:AllowPlaintext";

    /// <summary>
    /// Of a process, when the connection string does not say (<c>Maximum Pool Size</c>). Replicas together must stay below the server's
    /// <c>max_connections</c>: beyond it calls fail, while for a free connection of the pool they only wait.
    /// </summary>
    private const int MaxConnections = 30;
    private static readonly TimeSpan HealthTimeout = TimeSpan.FromSeconds(2);

    /// <summary>
    /// Registers the <see cref="NpgsqlDataSource"/> of <c>ConnectionStrings:{connectionName}</c> as a singleton keyed by
    /// <paramref name="serviceKey"/>; without a key it is keyed by the connection's name and is the unkeyed default too.
    /// The process refuses to start on a missing string, on <c>Multiplexing</c> or <c>No Reset On Close</c> (both leak
    /// session settings between leases), and on plaintext to another machine unless <c>Database:AllowPlaintext</c>.
    /// </summary>
    public static TBuilder AddPostgres<TBuilder>(
        this TBuilder builder, string connectionName, object? serviceKey = null, Action<NpgsqlDataSourceBuilder>? configure = null)
        where TBuilder : IHostApplicationBuilder
    {
        ArgumentNullException.ThrowIfNull(builder);
        ArgumentException.ThrowIfNullOrWhiteSpace(connectionName);
        var services = builder.Services;
        var key = serviceKey ?? connectionName;

        services.AddOptions<PostgresConnectionOptions>(connectionName)
            .Configure<IConfiguration>((options, configuration) =>
            {
                options.ConnectionString = configuration.GetConnectionString(connectionName);
                options.AllowPlaintext = configuration.GetValue(PlaintextSetting, defaultValue: false);
            })
            .ValidateOnStart();
        services.AddSingleton<IValidateOptions<PostgresConnectionOptions>>(new PostgresConnectionRules(connectionName));

        services.AddKeyedSingleton(key, (provider, _) =>
        {
            var options = provider.GetRequiredService<IOptionsMonitor<PostgresConnectionOptions>>().Get(connectionName);
            var source = new NpgsqlDataSourceBuilder(options.ConnectionString) { Name = connectionName };
            // A request's statements are always the same ones: planned once per connection instead of each time.
            if (source.ConnectionStringBuilder.MaxAutoPrepare == 0)
                (source.ConnectionStringBuilder.MaxAutoPrepare, source.ConnectionStringBuilder.AutoPrepareMinUsages) = (100, 2);
            if (!PostgresConnectionRules.NamesPoolSize(options.ConnectionString!))
                source.ConnectionStringBuilder.MaxPoolSize = MaxConnections;
            Name(source.ConnectionStringBuilder, provider.GetRequiredService<IHostEnvironment>());
            source.UseLoggerFactory(provider.GetRequiredService<ILoggerFactory>());
            configure?.Invoke(source);
            return source.Build();
        });
        if (serviceKey is null)
            services.TryAddSingleton(provider => provider.GetRequiredKeyedService<NpgsqlDataSource>(key));

        services.AddHealthChecks().Add(new HealthCheckRegistration(
            $"postgres-{connectionName}",
            provider => new PostgresHealthCheck(provider.GetRequiredKeyedService<NpgsqlDataSource>(key)),
            failureStatus: HealthStatus.Unhealthy,
            tags: ["ready"],
            timeout: HealthTimeout));
        return builder;
    }

    /// <summary>A connection string under the same rules, for a process that opens connections of its own.</summary>
    /// <exception cref="OptionsValidationException">It is missing or refused; one sentence says why.</exception>
    public static string GetSafePostgres(this IHostApplicationBuilder builder, string connectionName)
    {
        ArgumentNullException.ThrowIfNull(builder);
        var configuration = builder.Configuration;
        var options = new PostgresConnectionOptions
        {
            ConnectionString = configuration.GetConnectionString(connectionName),
            AllowPlaintext = configuration.GetValue(PlaintextSetting, defaultValue: false),
        };
        var result = new PostgresConnectionRules(connectionName).Validate(connectionName, options);
        if (result.Failed)
            throw new OptionsValidationException(connectionName, typeof(PostgresConnectionOptions), result.Failures);
        var safe = new NpgsqlConnectionStringBuilder(options.ConnectionString);
        Name(safe, builder.Environment);
        return safe.ConnectionString;
    }

    /// <summary>Whose a session is, in pg_stat_activity and the server's log.</summary>
    private static void Name(NpgsqlConnectionStringBuilder connection, IHostEnvironment environment) => connection.ApplicationName ??= environment.ApplicationName;

    private sealed class PostgresHealthCheck(NpgsqlDataSource source) : IHealthCheck
    {
        public async Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default)
        {
            await using var command = source.CreateCommand("SELECT 1");
            await command.ExecuteScalarAsync(cancellationToken);
            return HealthCheckResult.Healthy();
        }
    }
}
