using Microsoft.Extensions.DependencyInjection;
using Npgsql;

namespace AiAspire.Core.Ledger;

public static class LedgerRegistration
{
    /// <summary>The service key of the <see cref="NpgsqlDataSource"/> with the ledger role.</summary>
    public const string LedgerConnection = "ledger";

    public static IServiceCollection AddLedger(this IServiceCollection services)
    {
        services.AddOptions<LedgerOptions>()
            .BindConfiguration(LedgerOptions.Section, binder => binder.ErrorOnUnknownConfiguration = true)
            .ValidateDataAnnotations()
            .ValidateOnStart();
        return services
            .AddSingleton(provider => new LedgerRole(provider.GetRequiredKeyedService<NpgsqlDataSource>(LedgerConnection), provider.GetRequiredService<TimeProvider>()))
            .AddSingleton<IOpenAttempts, OpenAttempts>()
            .AddSingleton<Reconciler>()
            .AddSingleton<UsageReports>();
    }
}
