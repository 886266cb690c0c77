using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Options;

namespace AiAspire.Core.Notifications;

public static class NotificationsRegistration
{
    /// <summary>What puts notifications out and changes settings. Sessions and encryption are the host's to bring.</summary>
    public static IServiceCollection AddNotifications(this IServiceCollection services)
    {
        services.AddOptions<NotificationOptions>()
            .BindConfiguration(NotificationOptions.Section, binder => binder.ErrorOnUnknownConfiguration = true)
            .ValidateDataAnnotations()
            .ValidateOnStart();
        services.AddSingleton<IValidateOptions<NotificationOptions>, NotificationValidation>();
        services.TryAddSingleton<IHostResolver, DnsResolver>();
        services.TryAddSingleton<WebhookConnector>();
        services.TryAddSingleton<WebhookSecrets>();
        services.TryAddSingleton<NotificationOutbox>();
        return services;
    }

    /// <summary>What delivers them too.</summary>
    /// <param name="services">The process that delivers.</param>
    /// <param name="configureWebhookHttp">Takes off the host's HTTP defaults: retries are the outbox's.</param>
    public static IServiceCollection AddNotificationSending(this IServiceCollection services, Action<IHttpClientBuilder> configureWebhookHttp)
    {
        services.AddNotifications();
#pragma warning disable RS0030 // This is where it is injected; unlike a Random of our own it may be used by several threads.
        services.TryAddSingleton(Random.Shared);
#pragma warning restore RS0030
        services.AddSingleton<NotificationQueue>();
        services.AddSingleton<INotificationQueue>(provider => provider.GetRequiredService<NotificationQueue>());
        services.AddSingleton<INotificationChannel, MailChannel>();
        services.AddSingleton<INotificationChannel, WebhookChannel>();
        services.AddSingleton<NotificationSender>();
        var client = services.AddHttpClient(WebhookChannel.ClientName)
            .ConfigurePrimaryHttpMessageHandler(provider => new SocketsHttpHandler
            {
                AllowAutoRedirect = false,
                UseCookies = false,
                // A proxy would do the resolving, unchecked.
                UseProxy = false,
                ActivityHeadersPropagator = null,
                MaxResponseHeadersLength = 16,
                PooledConnectionLifetime = TimeSpan.FromMinutes(2),
                ConnectCallback = provider.GetRequiredService<WebhookConnector>().ConnectAsync,
            });
        configureWebhookHttp(client);
        return services;
    }
}
