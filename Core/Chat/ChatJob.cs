using AiAspire.Core.Data;
using AiAspire.Core.Encryption;
using AiAspire.Core.Jobs;
using AiAspire.Core.Tenancy;
using AiAspire.Core.Wire;
using Npgsql;

namespace AiAspire.Core.Chat;

/// <summary>
/// A chat completion as a job: the same pipeline, the same ledger. Its completion is part of the settling transaction, so a worker
/// whose lease was lost neither stores a result nor charges.
/// </summary>
public sealed class ChatJob(ChatPipeline pipeline, CallerDirectory callers, UserKeys userKeys, TimeProvider time) : IJobHandler
{
    public const string JobKind = "chat.completion";

    public string Kind => JobKind;

    public async Task RunAsync(ClaimedJob job, CancellationToken cancellationToken)
    {
        var cipher = await CipherAsync(job, cancellationToken);
        using var request = ChatRequest.Parse(cipher.Decrypt(job.Payload, ClaimedJob.PayloadPlace(job.JobId)));
        ReadOnlyMemory<byte> completion = default;
        var call = new ChatCall
        {
            // A repeat of the job is another request to the ledger; only the one that completes the job is charged.
            RequestId = time.NewId(),
            Caller = await CallerAsync(job, cancellationToken),
            Request = request,
            Purpose = CallPurpose.Job,
            Feature = "jobs",
            ConversationId = job.JobId,
            StartedAt = time.GetUtcNow(),
            StartTimestamp = time.GetTimestamp(),
            AlsoSettle = batch => JobQueue.AddCompletion(batch, job, cipher.Encrypt(completion.Span, ClaimedJob.ResultPlace(job.JobId))),
        };
        try
        {
            await foreach (var reply in pipeline.RunAsync(call, cancellationToken))
                completion = reply.Json;
        }
        catch (WireException e) when (e.Status is 429 or 503)
        {
            throw new JobRetryException(e.Code ?? "unavailable", e.RetryAfter, countsAsTry: false, e);
        }
        catch (WireException e) when (e.Status >= 500)
        {
            throw new JobRetryException(e.Code ?? "failed", e.RetryAfter, countsAsTry: true, e);
        }
        catch (WireException e)
        {
            throw new JobFailedException(e.Code ?? e.Type, e.Message, e);
        }
        catch (PostgresException e) when (JobQueue.IsLeaseLost(e))
        {
            throw new LeaseLostException(job.JobId, e);
        }
    }

    private async Task<Caller> CallerAsync(ClaimedJob job, CancellationToken cancellationToken)
    {
        try
        {
            return await callers.FromIdsAsync(job.TenantId, job.UserId, cancellationToken);
        }
        catch (IdentityException e) when (e.Code == IdentityException.UserErased)
        {
            throw new JobFailedException(e.Code, "The user was erased, and with them what was to be done.", e);
        }
    }

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
}
