using Microsoft.Extensions.DependencyInjection;
using Npgsql;

namespace AiAspire.Core.Ledger;

public static class LedgerRegistration
{
    /// <summary>The service key of the <see cref="NpgsqlDataSource"/> with the ledger role.</summary>
    public const string LedgerConnection = "ledger";

    /// <summary>
    /// The ledger role's connections are not reset between uses: its statements leave nothing behind in a session, and the reset is seven
    /// statements more, parsed anew each time.
    /// </summary>
    public static void Configure(NpgsqlDataSourceBuilder source)
    {
        ArgumentNullException.ThrowIfNull(source);
        source.ConnectionStringBuilder.NoResetOnClose = true;
    }

    public static IServiceCollection AddLedger(this IServiceCollection services)
    {
        services.AddOptions<LedgerOptions>()
            .BindConfiguration(LedgerOptions.Section, binder => binder.ErrorOnUnknownConfiguration = true)
            .ValidateDataAnnotations()
            .ValidateOnStart();
        return services
            .AddSingleton(provider => new LedgerRole(provider.GetRequiredKeyedService<NpgsqlDataSource>(LedgerConnection)))
            .AddSingleton<IOpenAttempts, OpenAttempts>()
            .AddSingleton<Reconciler>()
            .AddSingleton<UsageReports>();
    }
}
