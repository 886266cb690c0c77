using AiAspire.Core.Data;
using Microsoft.Extensions.DependencyInjection;

namespace AiAspire.Core.Tenancy;

public static class TenancyRegistration
{
    public static IServiceCollection AddTenancy(this IServiceCollection services)
        => services
            .AddSingleton<CallerDirectory>()
            .AddSingleton<KeyUses>()
            .AddHostedService(provider => provider.GetRequiredService<KeyUses>())
            .AddChangeSubscription(CallerDirectory.Topic, provider => provider.GetRequiredService<CallerDirectory>().ForgetAsync);
}
