using System.Text.Json;
using AiAspire.Core.Chat;
using AiAspire.Core.Data;
using AiAspire.Core.Encryption;
using AiAspire.Core.Files;
using AiAspire.Core.Jobs;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Options;
using Npgsql;

namespace AiAspire.Core.Batches;

/// <summary>
/// Leads a batch from its file to its end: reads the file and queues the jobs that do its lines (<see cref="BatchLinesJob"/>), looks in on
/// them until none is left, and puts their answers together. Each step is one transaction that counts only while the lease is held, and a
/// start that follows a crash goes on with the step that is due.
/// </summary>
public sealed class BatchJob(
    TenantSessions sessions, JobCalls calls, FileStore files, JobQueue queue, BatchAssembly assembly, IOptions<BatchOptions> options, TimeProvider time) : IJobHandler
{
    public const string JobKind = "batch";

    /// <summary>Failed tries, mostly of a database that is away, until it is a dead letter.</summary>
    private const int MaxTries = 100;

    /// <summary>The batch's own time is kept by its steps; the queue's deadline is for what nobody foresaw.</summary>
    private static readonly TimeSpan Slack = TimeSpan.FromHours(24);

    private static readonly TimeSpan SoonAgain = TimeSpan.FromMilliseconds(500);

    // Lets the batch's own job run now: when the last of its lines' jobs ends, or somebody cancels it.
    private const string WakeSql =
        $"""
        UPDATE aiaspire.jobs j SET state = 'Queued', available_at = clock_timestamp()
        WHERE j.tenant_id = $1 AND j.user_id = $2 AND j.part_of = $3 AND j.kind = '{JobKind}' AND j.state = 'Scheduled'
        """;

    private const string IfLastSql = $" AND NOT EXISTS (SELECT FROM aiaspire.jobs o WHERE o.tenant_id = $1 AND o.user_id = $2 AND o.part_of = $3 AND o.kind = '{BatchLinesJob.JobKind}')";

    public string Kind => JobKind;

    internal static JobSpec Spec(Guid batchId, DateTimeOffset expiresAt) => new(JobKind, batchId.ToByteArray())
    {
        PartOf = batchId,
        Deadline = expiresAt + Slack,
        MaxTries = MaxTries,
    };

    /// <param name="batch">The transaction.</param>
    /// <param name="scope">The user's.</param>
    /// <param name="batchId">The batch.</param>
    /// <param name="ifLast">Only when no job of its lines is left.</param>
    internal static void AddWake(TenantBatch batch, TenantScope scope, Guid batchId, bool ifLast = false)
        => batch.Add(ifLast ? WakeSql + IfLastSql : WakeSql, Parameter.Of(scope.TenantId), Parameter.Of(scope.UserId!.Value), Parameter.Of(batchId));

    public async Task<JobEnd?> RunAsync(JobRun run, CancellationToken cancellationToken)
    {
        var job = run.Job;
        var session = sessions.Open(job.Scope);
        var cipher = await calls.CipherAsync(job, cancellationToken);
        var batchId = new Guid(cipher.Decrypt(job.Payload, ClaimedJob.PayloadPlace(job.JobId)));
        var batch = await session.RunAsync((db, token) => db.Batches.AsNoTracking().SingleOrDefaultAsync(b => b.UserId == job.UserId && b.BatchId == batchId, token), cancellationToken);
        // Driven again after its end, or after its tenant's retention.
        if (batch is null || batch.IsOver)
            return new JobEnd(JobState.Succeeded);
        if (batch is { State: BatchState.Validating, Total: null })
            return await ValidateAsync(job, batch, session, cipher, cancellationToken);
        var stopped = batch.State == BatchState.Cancelling || batch.ExpiresAt <= time.GetUtcNow();
        if (stopped)
            await DropWaitingAsync(job, batchId, session, cancellationToken);
        if (await HasLinesLeftAsync(job, batchId, session, cancellationToken))
            throw new JobYieldException(stopped ? SoonAgain : Until(batch.ExpiresAt));
        await assembly.FinishAsync(job, batch, session, cipher, cancellationToken);
        return null;
    }

    private TimeSpan Until(DateTimeOffset expiresAt)
    {
        var (look, left) = (TimeSpan.FromSeconds(options.Value.LookSeconds), expiresAt - time.GetUtcNow());
        return left < look ? left : look;
    }

    /// <summary>Reads the whole file: counts its requests, keeps faults of its lines, and queues jobs for the rest.</summary>
    private async Task<JobEnd?> ValidateAsync(ClaimedJob job, Batch batch, TenantSession session, ContentCipher cipher, CancellationToken cancellationToken)
    {
        var plan = new BatchPlan(batch, options.Value, time, cipher);
        if (await FileStore.LengthAsync(session, batch.InputFileId, cancellationToken) is not { } length)
            return await FailAsync(new BatchFault("file_not_found", "The input file is not there any more.", Param: "input_file_id"));
        var content = files.ReadAsync(session, batch.InputFileId, 0, length, cancellationToken);
        await foreach (var line in FileLines.ReadAsync(content, 1, 0, options.Value.MaxLineBytes, cancellationToken))
        {
            plan.Add(line);
            if (plan.Total > options.Value.MaxLines)
                return await FailAsync(new BatchFault("too_many_requests_in_file", $"The file has more than {options.Value.MaxLines} requests (Batches:MaxLines). Split it into several batches.", Param: "input_file_id"));
        }

        if (plan.Total == 0)
            return await FailAsync(new BatchFault("empty_file", "The file holds no request: put one JSON object on each line.", Param: "input_file_id"));
        var begin = new TenantBatch();
        JobQueue.AddHold(begin, job);
        begin.Add(
            """
            UPDATE aiaspire.batches SET total = $4, in_progress_at = $5, state = CASE state WHEN 'Validating' THEN 'InProgress' ELSE state END
            WHERE tenant_id = $1 AND user_id = $2 AND batch_id = $3
            """,
            Parameter.Of(job.TenantId), Parameter.Of(job.UserId), Parameter.Of(batch.BatchId), Parameter.Of(plan.Total), Parameter.Of(time.GetUtcNow().UtcDateTime));
        plan.AddFaults(begin);
        var specs = plan.Jobs();
        await queue.AddAsync(begin, session.Scope, specs, cancellationToken);
        await session.ExecuteAsync(begin, cancellationToken);
        queue.Told(specs);
        throw new JobYieldException(specs.Count == 0 ? TimeSpan.Zero : Until(batch.ExpiresAt));

        async Task<JobEnd?> FailAsync(BatchFault fault)
        {
            var end = new TenantBatch();
            JobQueue.AddFinish(end, job, new JobEnd(JobState.Succeeded));
            end.Add(
                """
                UPDATE aiaspire.batches SET state = CASE state WHEN 'Cancelling' THEN 'Cancelled' ELSE 'Failed' END, errors = $4, total = 0, completed = 0, failed = 0, cost = 0, finished_at = $5
                WHERE tenant_id = $1 AND user_id = $2 AND batch_id = $3
                """,
                Parameter.Of(job.TenantId), Parameter.Of(job.UserId), Parameter.Of(batch.BatchId),
                Parameter.Of(cipher.Encrypt(JsonSerializer.SerializeToUtf8Bytes(new[] { fault }), Batch.ErrorsPlace(batch.BatchId))), Parameter.Of(time.GetUtcNow().UtcDateTime));
            await session.ExecuteAsync(end, cancellationToken);
            return null;
        }
    }

    private static Task DropWaitingAsync(ClaimedJob job, Guid batchId, TenantSession session, CancellationToken cancellationToken)
    {
        var drop = new TenantBatch();
        JobQueue.AddHold(drop, job);
        drop.Add(
            $"DELETE FROM aiaspire.jobs WHERE tenant_id = $1 AND user_id = $2 AND part_of = $3 AND kind = '{BatchLinesJob.JobKind}' AND state IN ('Queued', 'Scheduled')",
            Parameter.Of(job.TenantId), Parameter.Of(job.UserId), Parameter.Of(batchId));
        return session.ExecuteAsync(drop, cancellationToken);
    }

    private static async Task<bool> HasLinesLeftAsync(ClaimedJob job, Guid batchId, TenantSession session, CancellationToken cancellationToken)
    {
        var left = false;
        var query = new NpgsqlBatchCommand(
            $"SELECT EXISTS (SELECT FROM aiaspire.jobs WHERE tenant_id = $1 AND user_id = $2 AND part_of = $3 AND kind = '{BatchLinesJob.JobKind}')")
        {
            Parameters = { Parameter.Of(job.TenantId), Parameter.Of(job.UserId), Parameter.Of(batchId) },
        };
        await session.QueryAsync(query, row => left = row.GetBoolean(0), cancellationToken);
        return left;
    }
}
