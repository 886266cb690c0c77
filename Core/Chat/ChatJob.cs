using AiAspire.Core.Data;
using AiAspire.Core.Encryption;
using AiAspire.Core.Jobs;
using AiAspire.Core.Tenancy;
using AiAspire.Core.Wire;
using Npgsql;

namespace AiAspire.Core.Chat;

/// <summary>
/// A chat completion as a job: the same pipeline, the same ledger. Its end is part of the settling transaction, so a worker whose lease was
/// lost neither stores a result nor charges. A streamed request's tokens go to the job's listeners as they come.
/// </summary>
public sealed class ChatJob(ChatPipeline pipeline, CallerDirectory callers, UserKeys userKeys, TimeProvider time) : IJobHandler
{
    public const string JobKind = "chat.completion";

    // Told when the provider itself is overloaded, and not a limit of the caller's.
    private static readonly string[] Overloaded = ["provider_rate_limited", "provider_unavailable"];

    public string Kind => JobKind;

    public async Task<JobEnd?> RunAsync(JobRun run, CancellationToken cancellationToken)
    {
        var job = run.Job;
        var cipher = await CipherAsync(job, cancellationToken);
        using var request = ChatRequest.Parse(cipher.Decrypt(job.Payload, ClaimedJob.PayloadPlace(job.JobId)));
        var answer = new Answer();
        ChatCall? call = null;
        call = new ChatCall
        {
            // A repeat of the job is another request to the ledger; only the one that ends the job is charged.
            RequestId = time.NewId(),
            Caller = await CallerAsync(job, cancellationToken),
            Request = request,
            Purpose = CallPurpose.Job,
            Feature = "jobs",
            ConversationId = job.JobId,
            StartedAt = time.GetUtcNow(),
            StartTimestamp = time.GetTimestamp(),
            CostCeiling = job.MaxCost,
            AlsoSettle = batch => End(batch, new JobEnd(
                JobState.Succeeded, cipher.Encrypt(answer.ToJson(), ClaimedJob.ResultPlace(job.JobId)), Cost: call!.Served?.Cost ?? 0)),
            EndUnfinished = () => run.Ending is { } ending ? batch => End(batch, ending with { Cost = call!.Served?.Cost ?? 0 }) : null,
        };
        try
        {
            await foreach (var reply in pipeline.RunAsync(call, cancellationToken))
                await TakeAsync(run, request, answer, reply);
            return null;
        }
        catch (WireException e)
        {
            throw Outcome(e);
        }
        catch (PostgresException e) when (JobQueue.IsLeaseLost(e))
        {
            throw new LeaseLostException(job.JobId, e);
        }

        void End(TenantBatch batch, JobEnd end)
        {
            run.Events.AddRest(batch, cipher);
            JobQueue.AddFinish(batch, job, end);
        }
    }

    /// <summary>As the user stands today: who was suspended after queueing gets nothing more done.</summary>
    private async Task<Caller> CallerAsync(ClaimedJob job, CancellationToken cancellationToken)
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

    private static async ValueTask TakeAsync(JobRun run, ChatRequest request, Answer answer, ChatEvent reply)
    {
        answer.Add(reply);
        if (reply.Kind == ChatEventKind.Chunk || (reply.Kind == ChatEventKind.UsageChunk && request.IncludeUsage))
            run.Events.Add(reply.Json.ToArray());
        // Usage is always asked for and comes last: what follows is the settlement, which takes the rest of the events with it.
        if (reply.Kind == ChatEventKind.UsageChunk)
            await run.Events.CloseAsync();
    }

    private static Exception Outcome(WireException e) => e.Status switch
    {
        // A wait that is nobody's fault: limits, an overloaded provider, a kill switch.
        429 or 503 => new JobRetryException(e.Code ?? "unavailable", e.RetryAfter, countsAsTry: false, e) { Throttled = Overloaded.Contains(e.Code, StringComparer.Ordinal) },
        >= 500 => new JobRetryException(e.Code ?? "failed", e.RetryAfter, countsAsTry: true, e),
        _ => new JobFailedException(e.Code ?? e.Type, e.Message, e),
    };

    private async Task<ContentCipher> CipherAsync(ClaimedJob job, CancellationToken cancellationToken)
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

    /// <summary>The reply as one completion, however it came.</summary>
    private sealed class Answer
    {
        private readonly List<ReadOnlyMemory<byte>> _chunks = [];
        private ReadOnlyMemory<byte> _whole;

        public void Add(ChatEvent reply)
        {
            if (reply.Kind == ChatEventKind.Completion)
                _whole = reply.Json;
            else
                _chunks.Add(reply.Json);
        }

        public ReadOnlySpan<byte> ToJson() => _chunks.Count == 0 ? _whole.Span : ReplyFolding.Fold(_chunks);
    }
}
