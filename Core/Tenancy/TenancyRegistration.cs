using AiAspire.Core.Data;
using Microsoft.Extensions.DependencyInjection;

namespace AiAspire.Core.Tenancy;

public static class TenancyRegistration
{
    public static IServiceCollection AddTenancy(this IServiceCollection services)
        => services
            .AddSingleton<CallerDirectory>()
            .AddChangeSubscription(CallerDirectory.Topic, provider => provider.GetRequiredService<CallerDirectory>().ForgetAsync);
}
