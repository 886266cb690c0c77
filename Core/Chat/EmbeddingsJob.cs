using System.Buffers;
using System.Runtime.InteropServices;
using System.Text.Json;
using AiAspire.Core.Data;
using AiAspire.Core.Encryption;
using AiAspire.Core.Jobs;
using AiAspire.Core.Models;
using AiAspire.Core.Tenancy;
using AiAspire.Core.Wire;
using Microsoft.Extensions.Options;

namespace AiAspire.Core.Chat;

/// <summary>
/// The embeddings of a set of inputs as one job, in as many calls as that takes. What a call brings is kept in the transaction that settles
/// it; a worker that takes the job over goes on with the next. The result is one list, in the order of the inputs.
/// </summary>
public sealed class EmbeddingsJob(
    JobCalls calls, TenantSessions sessions, ModelCatalog catalog, IOptions<JobOptions> options, TimeProvider time) : IJobKind
{
    public const string JobKind = "embeddings";

    public string Kind => JobKind;

    public string Takes => "an embeddings request with `inputs` for `input`, up to 50,000 of them";

    public void Check(ReadOnlyMemory<byte> request, Caller caller)
    {
        using var set = EmbeddingSet.Parse(request);
        for (var call = 0; call < set.Calls; call++)
        {
            using var one = set.Request(call);
            if (call == 0)
                JobCalls.CheckModel(catalog, one.Model, caller, time.GetUtcNow());
        }
    }

    public async Task<JobEnd?> RunAsync(JobRun run, CancellationToken cancellationToken)
    {
        var job = run.Job;
        var session = sessions.Open(job.Scope);
        var cipher = await calls.CipherAsync(job, cancellationToken);
        using var set = EmbeddingSet.Parse(cipher.Decrypt(job.Payload, ClaimedJob.PayloadPlace(job.JobId)));
        var kept = await JobParts.ReadAsync(session, job.JobId, after: -1, most: set.Calls, cipher, cancellationToken);
        var parts = kept.ToDictionary(p => p.Part, p => (p.Cost, p.Data));
        try
        {
            await EmbedAllAsync(run, set, parts, cipher, cancellationToken);
        }
        catch (JobFailedException e) when (parts.Count > 0)
        {
            // What was embedded until then was paid.
            return new JobEnd(JobState.Failed, ErrorCode: e.Code, ErrorMessage: e.Message, Cost: parts.Values.Sum(p => p.Cost));
        }

        var result = Merge(set, parts);
        await run.Events.CloseAsync();
        var end = new TenantBatch();
        JobParts.AddDelete(end, job, job.JobId);
        JobQueue.AddFinish(end, job, new JobEnd(JobState.Succeeded, cipher.Encrypt(result, ClaimedJob.ResultPlace(job.JobId)), Cost: parts.Values.Sum(p => p.Cost)));
        await session.ExecuteAsync(end, CancellationToken.None);
        return null;
    }

    private async Task EmbedAllAsync(
        JobRun run, EmbeddingSet set, Dictionary<int, (decimal Cost, byte[] Data)> parts, ContentCipher cipher, CancellationToken cancellationToken)
    {
        var bytes = parts.Values.Sum(p => (long)p.Data.Length);
        for (var call = 0; call < set.Calls; call++)
        {
            if (!parts.ContainsKey(call))
            {
                parts[call] = await EmbedAsync(run, set, call, parts.Values.Sum(p => p.Cost), cipher, cancellationToken);
                bytes += parts[call].Data.Length;
            }

            if (bytes > options.Value.MaxResultBytes)
            {
                throw new JobFailedException(
                    "result_too_large", $"The embeddings have more than {options.Value.MaxResultBytes} bytes (Jobs:MaxResultBytes). Ask for fewer inputs, fewer 'dimensions', or 'encoding_format' base64.");
            }

            run.Events.Progress((call + 1.0) / set.Calls);
        }
    }

    private async Task<(decimal Cost, byte[] Data)> EmbedAsync(
        JobRun run, EmbeddingSet set, int part, decimal spent, ContentCipher cipher, CancellationToken cancellationToken)
    {
        var job = run.Job;
        using var request = set.Request(part);
        ReadOnlyMemory<byte> answer = default;
        var requestId = time.NewId();
        var call = new JobCall(requestId, await calls.CallerAsync(job, cancellationToken), request)
        {
            CostCeiling = job.MaxCost - spent,
            Keep = (batch, cost) => JobParts.AddKeep(batch, job, job.JobId, part, requestId, succeeded: true, cost, answer.Span, cipher),
            EndUnfinished = () => run.Ending is { } ending ? (batch, cost) => JobQueue.AddFinish(batch, job, ending with { Cost = spent + cost }) : null,
        };
        return (await calls.RunAsync(job, call, Take, cancellationToken), answer.ToArray());

        ValueTask Take(ChatEvent reply)
        {
            answer = reply.Json;
            return ValueTask.CompletedTask;
        }
    }

    /// <summary>One list of all, as <see cref="EmbeddingReply"/> has it, each with its place in the set.</summary>
    private static byte[] Merge(EmbeddingSet set, Dictionary<int, (decimal Cost, byte[] Data)> parts)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var writer = new Utf8JsonWriter(buffer))
        {
            EmbeddingReply.BeginList(writer);
            var (model, prompt) = ("", 0L);
            for (var call = 0; call < set.Calls; call++)
            {
                using var reply = JsonDocument.Parse(parts[call].Data);
                var root = reply.RootElement;
                model = root.TryGetProperty("model", out var named) ? named.GetString() : model;
                prompt += root.TryGetProperty("usage", out var usage) && usage.TryGetProperty("prompt_tokens", out var tokens) ? tokens.GetInt64() : 0;
                foreach (var item in root.GetProperty("data").EnumerateArray().Select((e, i) => (Element: e, Index: e.TryGetProperty("index", out var index) ? index.GetInt32() : i)).OrderBy(i => i.Index))
                {
                    EmbeddingReply.BeginItem(writer, set.FirstOf(call) + item.Index);
                    writer.WritePropertyName("embedding"u8);
                    writer.WriteRawValue(JsonMarshal.GetRawUtf8Value(item.Element.GetProperty("embedding")), skipInputValidation: true);
                    writer.WriteEndObject();
                }
            }

            EmbeddingReply.EndList(writer, model, prompt);
        }

        return buffer.WrittenSpan.ToArray();
    }
}
