using AiAspire.Core.Caching;
using AiAspire.Core.Jobs;
using AiAspire.Core.Limits;
using AiAspire.Core.Models;
using AiAspire.Core.Rollouts;
using AiAspire.Core.Routing;
using AiAspire.Core.Wire;
using Microsoft.Extensions.DependencyInjection;

namespace AiAspire.Core.Chat;

/// <summary>The way of a chat request: each step wraps the next, the last one calls the provider.</summary>
public sealed class ChatPipeline
{
    private readonly ChatNext _entry;

    public ChatPipeline(SettleStep settle, AdmitStep admit, KillSwitchStep killSwitch, CacheStep cache, CostCeilingStep ceiling, LimitStep limit, RouteStep route)
    {
        (string Name, IChatStep Step)[] steps =
            [("settle", settle), ("admit", admit), ("kill_switch", killSwitch), ("cache", cache), ("cost_ceiling", ceiling), ("limit", limit), ("route", route)];
        ChatNext next = static (_, _) => throw new InvalidOperationException("The last step calls no next one.");
        foreach (var (name, step) in steps.Reverse())
            next = StepTracing.Trace(name, step, next);

        _entry = next;
    }

    /// <summary>
    /// Runs the call. The enumeration ends normally only when the whole reply was delivered and settled; enumerate it to its end, or
    /// dispose it, for the call to be settled.
    /// </summary>
    /// <exception cref="WireException">Refused, or failed for good.</exception>
    public IAsyncEnumerable<ChatEvent> RunAsync(ChatCall call, CancellationToken cancellationToken) => _entry(call, cancellationToken);
}

public static class ChatRegistration
{
    /// <summary>The pipeline and everything beneath it but the connections, which are the host's to make.</summary>
    public static IServiceCollection AddChat(this IServiceCollection services, Func<IServiceProvider, HttpMessageHandler, HttpMessageHandler> findServices)
    {
        Data.DataRegistration.AddTenantSessions(services);
        Tenancy.TenancyRegistration.AddTenancy(services);
        Encryption.EncryptionRegistration.AddContentEncryption(services);
        services.AddModelCatalog();
        Providers.ProvidersRegistration.AddProviders(services, findServices);
        Ledger.LedgerRegistration.AddLedger(services);
        services.AddKillSwitches();
        services.AddCaching();
        services.AddLimits();
        services.AddSingleton<TokenCounter>();
        services.AddSingleton<CostCeilingStep>();
        services.AddRouting();
        services.AddSingleton<ChatMetrics>();
        services.AddSingleton<ICallBooks, CallBooks>();
        services.AddSingleton<SettleStep>();
        services.AddSingleton<ChatPipeline>();
        services.AddSingleton<RequestParser>();
        return services;
    }

    /// <summary>The kinds of jobs that run the pipeline; the queue itself is the host's to register.</summary>
    public static IServiceCollection AddCallJobs(this IServiceCollection services)
        => services.AddSingleton<JobCalls>().AddJobKind<ChatJob>().AddJobKind<EmbeddingsJob>();
}
