using AiAspire.Core.Encryption;
using AiAspire.Core.Jobs;
using AiAspire.Core.Models;
using AiAspire.Core.Tenancy;
using AiAspire.Core.Wire;

namespace AiAspire.Core.Chat;

/// <summary>What all jobs share that make calls for their user.</summary>
public sealed class JobCalls(CallerDirectory callers, UserKeys userKeys)
{
    // Told when the provider itself is overloaded, and not a limit of the caller's.
    private static readonly string[] Overloaded = ["provider_rate_limited", "provider_unavailable"];

    /// <summary>Refuses, before a job is queued, a model that its run would not find.</summary>
    /// <exception cref="WireException">404.</exception>
    public static void CheckModel(ModelCatalog catalog, string model, Caller caller, DateTimeOffset now)
    {
        var route = catalog.Route(model);
        if (route.Count == 0 || !caller.Entitlements.AllowsModel(model))
            throw WireException.ModelNotFound(model);
        if (route.All(t => t.Model.SunsetAt <= now))
            throw WireException.ModelRetired(model, route[0].Model.SunsetAt!.Value, route[0].Model.Replacement);
    }

    /// <summary>As the user stands today: who was suspended after queueing gets nothing more done.</summary>
    /// <exception cref="JobFailedException">They may not call.</exception>
    public async Task<Caller> CallerAsync(ClaimedJob job, CancellationToken cancellationToken)
    {
        try
        {
            return await callers.FromIdsAsync(job.TenantId, job.UserId, cancellationToken);
        }
        catch (IdentityException e)
        {
            throw new JobFailedException(e.Code, e.Message, e);
        }
    }

    /// <exception cref="JobFailedException">The user was erased.</exception>
    public async Task<ContentCipher> CipherAsync(ClaimedJob job, CancellationToken cancellationToken)
    {
        try
        {
            return await userKeys.GetAsync(job.TenantId, job.UserId, cancellationToken);
        }
        catch (UserKeyDestroyedException e)
        {
            throw new JobFailedException("user_erased", "The user was erased, and with them what was to be done.", e);
        }
    }

    /// <summary>What a call's failure means for its job: another try, or the end.</summary>
    public static Exception Outcome(WireException e) => e.Status switch
    {
        // A wait that is nobody's fault: limits, an overloaded provider, a kill switch.
        429 or 503 => new JobRetryException(e.Code ?? "unavailable", e.RetryAfter, countsAsTry: false, e) { Throttled = IsOverload(e) },
        >= 500 => new JobRetryException(e.Code ?? "failed", e.RetryAfter, countsAsTry: true, e),
        _ => new JobFailedException(e.Code ?? e.Type, e.Message, e),
    };

    public static bool IsOverload(WireException e) => Overloaded.Contains(e.Code, StringComparer.Ordinal);
}
