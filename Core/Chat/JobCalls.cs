using AiAspire.Core.Encryption;
using AiAspire.Core.Jobs;
using AiAspire.Core.Models;
using AiAspire.Core.Tenancy;
using AiAspire.Core.Wire;
using Npgsql;

namespace AiAspire.Core.Chat;

/// <summary>What all jobs share that make calls for their user.</summary>
public sealed class JobCalls(ChatPipeline pipeline, CallerDirectory callers, UserKeys userKeys, TimeProvider time)
{
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

    /// <summary>Takes the call through the pipeline, at whose end it is settled.</summary>
    /// <exception cref="WireException">Refused, or failed for good.</exception>
    public IAsyncEnumerable<ChatEvent> StreamAsync(JobCall of, CancellationToken cancellationToken) => pipeline.RunAsync(Begin(of), cancellationToken);

    /// <summary>The same for a job that stands or falls with the call.</summary>
    /// <param name="job">The job.</param>
    /// <param name="of">Its call.</param>
    /// <param name="take">Takes each event of the reply.</param>
    /// <param name="cancellationToken">Stops the call.</param>
    /// <returns>What it cost, in US dollars.</returns>
    /// <exception cref="JobRetryException">The call is to be made again.</exception>
    /// <exception cref="JobFailedException">It never will succeed.</exception>
    /// <exception cref="LeaseLostException">Someone else has the job: nothing of the call is kept.</exception>
    public async Task<decimal> RunAsync(ClaimedJob job, JobCall of, Func<ChatEvent, ValueTask> take, CancellationToken cancellationToken)
    {
        var call = Begin(of);
        try
        {
            await foreach (var reply in pipeline.RunAsync(call, cancellationToken))
                await take(reply);
            return CostOf(call);
        }
        catch (WireException e)
        {
            throw Outcome(e);
        }
        catch (PostgresException e) when (JobQueue.IsLeaseLost(e) || JobParts.IsThereAlready(e))
        {
            throw new LeaseLostException(job.JobId, e);
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

    // Not a limit of the caller's. Nor a provider that is down: it answers at once, and taking fewer jobs would hold up those for the others.
    private static bool IsOverload(WireException e) => e.Code == "provider_rate_limited";

    private static decimal CostOf(ChatCall call) => call.Served?.Cost ?? 0;

    private ChatCall Begin(JobCall of)
    {
        // What is settled asks the call itself for its cost.
        ChatCall? call = null;
        return call = new ChatCall
        {
            RequestId = of.RequestId,
            Caller = of.Caller,
            Request = of.Request,
            Feature = of.Feature,
            ConversationId = of.ConversationId,
            StartedAt = time.GetUtcNow(),
            StartTimestamp = time.GetTimestamp(),
            CostCeiling = of.CostCeiling,
            AlsoSettle = batch => of.Keep(batch, CostOf(call!)),
            EndUnfinished = () => of.EndUnfinished() is { } end ? batch => end(batch, CostOf(call!)) : null,
        };
    }
}
