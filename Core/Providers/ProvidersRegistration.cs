using AiAspire.Core.Models;
using AiAspire.Core.Wire;
using Microsoft.Extensions.AI;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;

namespace AiAspire.Core.Providers;

/// <summary>Makes an <see cref="IChatClient"/> for an attempt on a target; any library's client will do.</summary>
/// <param name="target">The model and its provider.</param>
/// <param name="apiKey">The key to send.</param>
/// <param name="httpClient">The pooled client to send with.</param>
/// <param name="attemptId">To be sent as <c>X-Client-Request-Id</c>.</param>
public delegate IChatClient ChatClientFactory(ModelTarget target, string apiKey, HttpClient httpClient, Guid attemptId);

/// <summary>How an <see cref="IChatClient"/> stands in for a provider.</summary>
/// <param name="Create">Makes the client.</param>
/// <param name="FindUnsupported">The first field that <see cref="ChatOptions"/> has room for but this client would drop; null when none.</param>
public sealed record ChatClientBinding(ChatClientFactory Create, Func<ChatRequest, UnsupportedField?> FindUnsupported);

/// <summary>Finds the provider client of a target.</summary>
public sealed class ChatProviders(OpenAiProvider openAi, [FromKeyedServices(ProviderWire.OpenAI)] ChatClientProvider openAiSdk, [FromKeyedServices(ProviderWire.Anthropic)] ChatClientProvider anthropicSdk)
{
    public IChatProvider For(ModelTarget target) => (target.Settings.Wire, target.Settings.Client) switch
    {
        (ProviderWire.OpenAI, ProviderClient.Default) => openAi,
        (ProviderWire.OpenAI, ProviderClient.Sdk) => openAiSdk,
        (ProviderWire.Anthropic, _) => anthropicSdk,
        _ => throw new InvalidOperationException($"Provider '{target.Provider}' has an unknown wire."),
    };
}

public static class ProvidersRegistration
{
    /// <summary>The value of <see cref="ProviderOptions.ApiKey"/> for servers that ask for no key.</summary>
    public const string NoKey = "none";

    /// <summary>Registers the provider clients. <paramref name="findServices"/> puts before the pool what finds a provider that is another process of the application by its name.</summary>
    public static IServiceCollection AddProviders(this IServiceCollection services, Func<IServiceProvider, HttpMessageHandler, HttpMessageHandler> findServices)
    {
        services.AddSingleton(provider => new ProviderHttp(findServices(provider, ProviderHttp.Pool())));
        services.AddSingleton<IValidateOptions<CatalogOptions>, ProviderTransport>();
        services.AddSingleton<OpenAiProvider>();
        services.AddChatClientProvider(ProviderWire.OpenAI, new ChatClientBinding(SdkChatClients.OpenAi, static _ => null));
        services.AddChatClientProvider(ProviderWire.Anthropic, new ChatClientBinding(SdkChatClients.Anthropic, SdkChatClients.FindUnsupportedByAnthropic));
        services.AddSingleton<ChatProviders>();
        return services;
    }

    private static void AddChatClientProvider(this IServiceCollection services, ProviderWire wire, ChatClientBinding binding)
        => services.AddKeyedSingleton(wire, (provider, _) => ActivatorUtilities.CreateInstance<ChatClientProvider>(provider, binding));
}
