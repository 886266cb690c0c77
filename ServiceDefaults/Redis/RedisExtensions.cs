using AiAspire.ServiceDefaults.Redis;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using StackExchange.Redis;

namespace AiAspire.ServiceDefaults;

/// <summary>Redis (or Valkey, or Garnet) as every process uses it: one multiplexed connection, traced, health-checked.</summary>
public static class RedisExtensions
{
    private static readonly TimeSpan HealthTimeout = TimeSpan.FromSeconds(2);

    /// <summary>
    /// Registers the <see cref="IConnectionMultiplexer"/> of <c>ConnectionStrings:{connectionName}</c> as a singleton. A server
    /// that is away at start-up does not stop the process: it connects in the background and readiness waits for it. The process
    /// refuses to start on a missing string, and on plaintext to another machine unless <c>Redis:AllowPlaintext</c>.
    /// </summary>
    public static TBuilder AddRedis<TBuilder>(this TBuilder builder, string connectionName)
        where TBuilder : IHostApplicationBuilder
    {
        ArgumentNullException.ThrowIfNull(builder);
        ArgumentException.ThrowIfNullOrWhiteSpace(connectionName);
        var services = builder.Services;

        services.AddOptions<RedisConnectionOptions>(connectionName)
            .Configure<IConfiguration>((options, configuration) =>
            {
                options.ConnectionString = configuration.GetConnectionString(connectionName);
                options.AllowPlaintext = configuration.GetValue("Redis:AllowPlaintext", defaultValue: false);
            })
            .ValidateOnStart();
        services.AddSingleton<IValidateOptions<RedisConnectionOptions>>(new RedisConnectionRules(connectionName));
        services.TryAddSingleton<RedisTracing>();
        services.AddHostedService<RedisTraceDrain>();
        services.AddSingleton<IConnectionMultiplexer>(provider =>
        {
            var checkedOptions = provider.GetRequiredService<IOptionsMonitor<RedisConnectionOptions>>().Get(connectionName);
            var options = ConfigurationOptions.Parse(checkedOptions.ConnectionString!);
            options.AbortOnConnectFail = false;
            options.ClientName ??= builder.Environment.ApplicationName;
            options.LoggerFactory = provider.GetRequiredService<ILoggerFactory>();
            var connection = ConnectionMultiplexer.Connect(options);
            connection.RegisterProfiler(provider.GetRequiredService<RedisTracing>().CurrentSession);
            return connection;
        });
        services.AddHealthChecks().Add(new HealthCheckRegistration(
            $"redis-{connectionName}",
            static provider => new RedisHealthCheck(provider.GetRequiredService<IConnectionMultiplexer>()),
            failureStatus: HealthStatus.Unhealthy,
            tags: ["ready"],
            timeout: HealthTimeout));
        return builder;
    }

    private sealed class RedisHealthCheck(IConnectionMultiplexer redis) : IHealthCheck
    {
        public async Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default)
        {
            // Commands queue while disconnected and know no cancellation: wait no longer than the check may take.
            await redis.GetDatabase().PingAsync().WaitAsync(cancellationToken);
            return HealthCheckResult.Healthy();
        }
    }
}
