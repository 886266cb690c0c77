using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Npgsql;

namespace AiAspire.Core.Data;

public static class DataRegistration
{
    /// <summary>Registers <see cref="TenantSessions"/> over the <see cref="NpgsqlDataSource"/> of the content database (the app role).</summary>
    public static IServiceCollection AddTenantSessions(this IServiceCollection services)
    {
        services.TryAddSingleton(TimeProvider.System);
        services.TryAddSingleton(provider =>
        {
            var dataSource = provider.GetRequiredService<NpgsqlDataSource>();
            return new TenantSessions(Options(dataSource), dataSource);
        });
        return services;
    }

    internal static DbContextOptions<AiAspireDb> Options(NpgsqlDataSource dataSource)
        => new DbContextOptionsBuilder<AiAspireDb>()
            .UseNpgsql(dataSource, npgsql => npgsql
                .EnableRetryOnFailure(maxRetryCount: 3, maxRetryDelay: TimeSpan.FromSeconds(2), errorCodesToAdd: null)
                .MigrationsAssembly("AiAspire.Migrator")
                .MigrationsHistoryTable("schema_migrations", AiAspireDb.Schema))
            .Options;
}
