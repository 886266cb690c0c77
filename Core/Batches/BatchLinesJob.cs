using System.Text.Json;
using AiAspire.Core.Chat;
using AiAspire.Core.Data;
using AiAspire.Core.Encryption;
using AiAspire.Core.Files;
using AiAspire.Core.Jobs;
using AiAspire.Core.Tenancy;
using AiAspire.Core.Wire;
using Microsoft.Extensions.Options;
using Npgsql;

namespace AiAspire.Core.Batches;

/// <summary>
/// Does some lines of a batch, one after the other through the same pipeline as live calls, so that a job is one provider call at a time like
/// any other. A line's answer is kept in the transaction that settles its call: whoever takes the job over goes on with the next, and a line
/// is charged once. After a while the job lets others have its turn.
/// </summary>
public sealed class BatchLinesJob(
    RequestParser parser, JobCalls calls, TenantSessions sessions, FileStore files, JobNotifier notifier, IOptions<BatchOptions> options, TimeProvider time)
    : IJobHandler
{
    public const string JobKind = "batch.lines";

    /// <summary>How often a running job asks whether its batch was cancelled.</summary>
    private static readonly TimeSpan LookEvery = TimeSpan.FromSeconds(1);

    public string Kind => JobKind;

    public async Task<JobEnd?> RunAsync(JobRun run, CancellationToken cancellationToken)
    {
        var job = run.Job;
        var session = sessions.Open(job.Scope);
        var cipher = await calls.CipherAsync(job, cancellationToken);
        var lines = JsonSerializer.Deserialize<BatchLines>(cipher.Decrypt(job.Payload, ClaimedJob.PayloadPlace(job.JobId)))!;
        await RunAsync(new Work(run, lines, session, cipher), cancellationToken);
        await FinishAsync(job, lines.BatchId, session);
        return null;
    }

    private async Task RunAsync(Work work, CancellationToken cancellationToken)
    {
        var (lines, session) = (work.Lines, work.Session);
        var done = await JobParts.ReadDoneAsync(session, lines.BatchId, lines.FirstLine, lines.EndLine, cancellationToken);
        var (began, looked) = (time.GetTimestamp(), (long?)null);
        var content = files.ReadAsync(session, lines.FileId, lines.Start, lines.End, cancellationToken);
        await foreach (var line in FileLines.ReadAsync(content, lines.FirstLine, lines.Start, options.Value.MaxLineBytes, cancellationToken))
        {
            if (done.Contains(line.Number))
                continue;
            if (looked is null || time.GetElapsedTime(looked.Value) > LookEvery)
            {
                if (!await GoesOnAsync(lines, session, cancellationToken))
                    return;
                looked = time.GetTimestamp();
            }

            await DoAsync(work, BatchLine.Read(line, lines.Endpoint), line.Number, cancellationToken);
            // With a line that must be tried again the rest waits too, so that the tries are counted.
            if (time.GetElapsedTime(began) > TimeSpan.FromSeconds(options.Value.SliceSeconds))
                throw (Exception?)work.Again ?? new JobYieldException(TimeSpan.Zero);
        }

        if (work.Again is { } again)
            throw again;
    }

    /// <summary>Whether more lines may be begun: the batch is neither cancelled nor past its time.</summary>
    private async Task<bool> GoesOnAsync(BatchLines lines, TenantSession session, CancellationToken cancellationToken)
    {
        if (lines.ExpiresAt <= time.GetUtcNow())
            return false;
        var goesOn = false;
        var query = new NpgsqlBatchCommand(
            "SELECT state = 'InProgress' AND expires_at > $4 FROM aiaspire.batches WHERE tenant_id = $1 AND user_id = $2 AND batch_id = $3")
        {
            Parameters = { Parameter.Of(session.Scope.TenantId), Parameter.Of(session.Scope.UserId!.Value), Parameter.Of(lines.BatchId), Parameter.Of(time.GetUtcNow().UtcDateTime) },
        };
        await session.QueryAsync(query, row => goesOn = row.GetBoolean(0), cancellationToken);
        return goesOn;
    }

    private async Task DoAsync(Work work, BatchLine line, int number, CancellationToken cancellationToken)
    {
        var requestId = time.NewId();
        string? model = null;
        try
        {
            var caller = await calls.CallerAsync(work.Run.Job, cancellationToken);
            using var request = parser.Parse(work.Lines.Endpoint, line.Body, caller);
            model = request.Model;
            if (request.Stream)
                throw WireException.BadRequest("A batch streams nothing: leave 'stream' out.", "stream", "unsupported_parameter");
            // What its model waits for, this line waits for too; lines for others go on.
            if (work.Waiting.Contains(model))
                return;
            await CallAsync(work, caller, request, requestId, line.CustomId!, number, cancellationToken);
        }
        catch (WireException e) when (e.Status is 429 or 503)
        {
            if (model is not null)
                work.Waiting.Add(model);
            work.Delay((JobRetryException)JobCalls.Outcome(e));
        }
        catch (WireException e) when (e.Status >= 500 && work.HasTriesLeft)
        {
            work.Delay((JobRetryException)JobCalls.Outcome(e));
        }
        catch (WireException e)
        {
            var refused = new TenantBatch();
            JobParts.AddKeep(refused, work.Run.Job, work.Lines.BatchId, number, requestId, succeeded: false, cost: 0, BatchResult.Refused(line.CustomId!, requestId, e), work.Cipher);
            await work.Session.ExecuteAsync(refused, CancellationToken.None);
        }
        catch (PostgresException e) when (JobParts.IsThereAlready(e))
        {
            // It was answered and paid for before; what this call would have been charged is undone.
        }
    }

    private async Task CallAsync(Work work, Caller caller, ModelRequest request, Guid requestId, string customId, int number, CancellationToken cancellationToken)
    {
        ReadOnlyMemory<byte> answer = default;
        // Its answer stands in the batch's file: fifty thousand of them are no conversations. Not charged unless it is kept.
        var call = new JobCall(requestId, caller, request)
        {
            Feature = "batches",
            Keep = (batch, cost) => JobParts.AddKeep(
                batch, work.Run.Job, work.Lines.BatchId, number, requestId, succeeded: true, cost, BatchResult.Answered(customId, requestId, answer), work.Cipher),
        };
        await foreach (var reply in calls.StreamAsync(call, cancellationToken))
            answer = reply.Json;
    }

    /// <summary>The end of this job, and the word to the batch when it is the last.</summary>
    private async Task FinishAsync(ClaimedJob job, Guid batchId, TenantSession session)
    {
        var end = new TenantBatch();
        JobQueue.AddFinish(end, job, new JobEnd(JobState.Succeeded));
        BatchJob.AddWake(end, session.Scope, batchId, ifLast: true);
        await session.ExecuteAsync(end, CancellationToken.None);
        notifier.JobsWait();
    }

    /// <summary>One start of the job.</summary>
    private sealed record Work(JobRun Run, BatchLines Lines, TenantSession Session, ContentCipher Cipher)
    {
        /// <summary>Models for which lines wait.</summary>
        public HashSet<string> Waiting { get; } = new(StringComparer.OrdinalIgnoreCase);

        /// <summary>How the start ends when some of its lines must be tried again; null when none must.</summary>
        public JobRetryException? Again { get; private set; }

        /// <summary>Whether a failing line may be tried again, or has its failure for an answer.</summary>
        public bool HasTriesLeft => Run.Job.Failures + 1 < Run.Job.MaxTries;

        public void Delay(JobRetryException next)
        {
            // A failure that counts goes before a wait that does not: the tries must come to an end.
            if (Again is null || (next.CountsAsTry && !Again.CountsAsTry) || (next.CountsAsTry == Again.CountsAsTry && next.Delay > Again.Delay))
                Again = next;
        }
    }
}
