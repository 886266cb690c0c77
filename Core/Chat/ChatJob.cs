using AiAspire.Core.Data;
using AiAspire.Core.Jobs;
using AiAspire.Core.Models;
using AiAspire.Core.Tenancy;
using AiAspire.Core.Wire;

namespace AiAspire.Core.Chat;

/// <summary>
/// A chat completion as a job: the same pipeline, the same ledger. Its end is part of the settling transaction, so a worker whose lease was
/// lost neither stores a result nor charges. A streamed request's tokens go to the job's listeners as they come.
/// </summary>
public sealed class ChatJob(JobCalls calls, ModelCatalog catalog, TimeProvider time) : IJobKind
{
    public const string JobKind = "chat.completion";

    public string Kind => JobKind;

    public string Takes => "a chat completion request";

    public void Check(ReadOnlyMemory<byte> request, Caller caller)
    {
        using var chat = ChatRequest.Parse(request);
        JobCalls.CheckModel(catalog, chat.Model, caller, time.GetUtcNow());
    }

    public async Task<JobEnd?> RunAsync(JobRun run, CancellationToken cancellationToken)
    {
        var job = run.Job;
        var cipher = await calls.CipherAsync(job, cancellationToken);
        using var request = ChatRequest.Parse(cipher.Decrypt(job.Payload, ClaimedJob.PayloadPlace(job.JobId)));
        var answer = new Answer();
        var call = new JobCall(time.NewId(), await calls.CallerAsync(job, cancellationToken), request)
        {
            ConversationId = job.JobId,
            CostCeiling = job.MaxCost,
            Keep = (batch, cost) => End(batch, new JobEnd(JobState.Succeeded, cipher.Encrypt(answer.ToJson(), ClaimedJob.ResultPlace(job.JobId)), Cost: cost)),
            EndUnfinished = () => run.Ending is { } ending ? (batch, cost) => End(batch, ending with { Cost = cost }) : null,
        };
        await calls.RunAsync(job, call, reply => TakeAsync(run, request, answer, reply), cancellationToken);
        return null;

        void End(TenantBatch batch, JobEnd end)
        {
            run.Events.AddRest(batch, cipher);
            JobQueue.AddFinish(batch, job, end);
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
