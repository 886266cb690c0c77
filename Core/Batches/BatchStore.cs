using System.Text.Json;
using AiAspire.Core.Data;
using AiAspire.Core.Encryption;
using AiAspire.Core.Jobs;
using Microsoft.EntityFrameworkCore;
using Npgsql;

namespace AiAspire.Core.Batches;

/// <summary>A batch as its user sees it.</summary>
/// <param name="Row">The batch.</param>
/// <param name="Metadata">In the clear.</param>
/// <param name="Errors">In the clear; empty without any.</param>
/// <param name="Completed">Requests answered so far.</param>
/// <param name="Failed">Requests that came to no answer so far.</param>
public sealed record BatchView(Batch Row, IReadOnlyDictionary<string, string>? Metadata, IReadOnlyList<BatchFault> Errors, int Completed, int Failed);

/// <summary>A user's side of batches.</summary>
public sealed class BatchStore(UserKeys userKeys, JobQueue queue, JobNotifier notifier, TimeProvider time)
{
    /// <summary>The completion window that OpenAI knows.</summary>
    public static readonly TimeSpan Window = TimeSpan.FromHours(24);

    /// <summary>What a failed batch says that has no fault of its own: its job was given up (<c>fail_batch</c> in jobs.sql).</summary>
    private static readonly BatchFault GivenUp = new(
        "batch_given_up",
        "The batch could not be brought to its end. What was answered until then is kept: its output and error files come when your tenant's administrator has its job run again (POST /v1/admin/jobs/dead-letters/redrive).");

    private const string InsertSql =
        """
        INSERT INTO aiaspire.batches (tenant_id, user_id, batch_id, endpoint, state, input_file_id, output_kept_for, metadata, created_at, expires_at)
        VALUES ($1, $2, $3, $4, 'Validating', $5, $6, $7, $8, $9)
        """;

    private const string CancelSql =
        """
        UPDATE aiaspire.batches SET state = 'Cancelling', cancelling_at = $4
        WHERE tenant_id = $1 AND user_id = $2 AND batch_id = $3 AND state IN ('Validating', 'InProgress')
        """;

    /// <summary>Queues a batch, in one transaction with the work of <paramref name="inTheSame"/>.</summary>
    public async Task<Guid> CreateAsync(
        TenantSession session, string endpoint, Guid inputFileId, IReadOnlyDictionary<string, string>? metadata, TimeSpan? outputKeptFor,
        Action<TenantBatch, Guid>? inTheSame, CancellationToken cancellationToken)
    {
        var (tenantId, userId) = (session.Scope.TenantId, UserOf(session));
        var cipher = await userKeys.GetAsync(tenantId, userId, cancellationToken);
        var (id, now) = (time.NewId(), time.GetUtcNow().UtcDateTime);
        var batch = new TenantBatch().Add(
            InsertSql,
            Parameter.Of(tenantId),
            Parameter.Of(userId),
            Parameter.Of(id),
            Parameter.Of(endpoint),
            Parameter.Of(inputFileId),
            Parameter.Of(outputKeptFor),
            Parameter.Of(metadata is null ? null : cipher.Encrypt(JsonSerializer.SerializeToUtf8Bytes(metadata), Batch.MetadataPlace(id))),
            Parameter.Of(now),
            Parameter.Of(now + Window));
        var spec = BatchJob.Spec(id, new DateTimeOffset(now) + Window);
        await queue.AddAsync(batch, session.Scope, [spec], cancellationToken);
        inTheSame?.Invoke(batch, id);
        await session.ExecuteAsync(batch, cancellationToken);
        queue.Told([spec]);
        return id;
    }

    /// <summary>Null: the user has no such batch.</summary>
    public async Task<BatchView?> FindAsync(TenantSession session, Guid batchId, CancellationToken cancellationToken)
    {
        var userId = UserOf(session);
        var row = await session.RunAsync((db, token) => db.Batches.AsNoTracking().SingleOrDefaultAsync(b => b.UserId == userId && b.BatchId == batchId, token), cancellationToken);
        return row is null ? null : (await ViewsAsync(session, [row], cancellationToken))[0];
    }

    /// <summary>Newest first.</summary>
    public async Task<IReadOnlyList<BatchView>> ListAsync(TenantSession session, Guid? after, int take, CancellationToken cancellationToken)
    {
        var userId = UserOf(session);
        var rows = await session.RunAsync(
            (db, token) => db.Batches.AsNoTracking().Where(b => b.UserId == userId && (after == null || b.BatchId < after)).OrderByDescending(b => b.BatchId).Take(take).ToListAsync(token),
            cancellationToken);
        return await ViewsAsync(session, rows, cancellationToken);
    }

    /// <summary>Stops what has not begun. Does nothing to a batch that is cancelled already or has come further.</summary>
    public async Task CancelAsync(TenantSession session, Guid batchId, CancellationToken cancellationToken)
    {
        var batch = new TenantBatch().Add(
            CancelSql, Parameter.Of(session.Scope.TenantId), Parameter.Of(UserOf(session)), Parameter.Of(batchId), Parameter.Of(time.GetUtcNow().UtcDateTime));
        BatchJob.AddWake(batch, session.Scope, batchId);
        await session.ExecuteAsync(batch, cancellationToken);
        notifier.JobsWait();
    }

    /// <summary>Whether a batch that is not over still reads the file.</summary>
    public static Task<bool> UsesAsync(AiAspireDb db, Guid userId, Guid fileId, CancellationToken cancellationToken)
        => db.Batches.AnyAsync(b => b.UserId == userId && b.InputFileId == fileId && b.FinishedAt == null, cancellationToken);

    private async Task<IReadOnlyList<BatchView>> ViewsAsync(TenantSession session, IReadOnlyList<Batch> rows, CancellationToken cancellationToken)
    {
        if (rows.Count == 0)
            return [];
        var counts = await CountAsync(session, [.. rows.Where(b => b.Completed is null).Select(b => b.BatchId)], cancellationToken);
        var cipher = await userKeys.GetAsync(session.Scope.TenantId, UserOf(session), cancellationToken);
        return [.. rows.Select(b => new BatchView(
            b,
            b.Metadata is null ? null : JsonSerializer.Deserialize<Dictionary<string, string>>(cipher.Decrypt(b.Metadata, Batch.MetadataPlace(b.BatchId))),
            b.Errors is null ? (b.State == BatchState.Failed ? [GivenUp] : []) : JsonSerializer.Deserialize<BatchFault[]>(cipher.Decrypt(b.Errors, Batch.ErrorsPlace(b.BatchId)))!,
            b.Completed ?? counts.GetValueOrDefault(b.BatchId).Completed,
            b.Failed ?? counts.GetValueOrDefault(b.BatchId).Failed))];
    }

    /// <summary>Counted, so that the requests of a batch that end at the same moment need not wait for one another at its row.</summary>
    private static async Task<Dictionary<Guid, (int Completed, int Failed)>> CountAsync(TenantSession session, Guid[] batches, CancellationToken cancellationToken)
    {
        var counts = new Dictionary<Guid, (int, int)>();
        if (batches.Length == 0)
            return counts;
        var query = new NpgsqlBatchCommand(
            """
            SELECT work_id, count(*) FILTER (WHERE succeeded), count(*) FILTER (WHERE NOT succeeded) FROM aiaspire.job_parts
            WHERE tenant_id = $1 AND user_id = $2 AND work_id = ANY ($3) GROUP BY work_id
            """)
        {
            Parameters = { Parameter.Of(session.Scope.TenantId), Parameter.Of(UserOf(session)), Parameter.Of(batches) },
        };
        await session.QueryAsync(query, row => counts[row.GetGuid(0)] = ((int)row.GetInt64(1), (int)row.GetInt64(2)), cancellationToken);
        return counts;
    }

    private static Guid UserOf(TenantSession session) => session.Scope.UserId ?? throw new InvalidOperationException("A batch belongs to a user.");
}
