using System.Text.Json;
using AiAspire.Core.Data;
using AiAspire.Core.Encryption;
using AiAspire.Core.Files;
using AiAspire.Core.Jobs;

namespace AiAspire.Core.Batches;

/// <summary>Some lines of a batch's file, one after the other: what one job does.</summary>
/// <param name="BatchId">The batch.</param>
/// <param name="FileId">Its file.</param>
/// <param name="Endpoint">The path that its requests are for.</param>
/// <param name="ExpiresAt">After this no line is begun.</param>
/// <param name="FirstLine">Number of the first line.</param>
/// <param name="EndLine">Number of the line after the last.</param>
/// <param name="Start">Where in the file the first begins.</param>
/// <param name="End">Where the last ends.</param>
public sealed record BatchLines(Guid BatchId, Guid FileId, string Endpoint, DateTimeOffset ExpiresAt, int FirstLine, int EndLine, long Start, long End);

/// <summary>What becomes of the lines of a file as they are read: faults are noted, the others shared out to jobs.</summary>
internal sealed class BatchPlan(Batch batch, BatchOptions options, TimeProvider time, ContentCipher cipher)
{
    /// <summary>Behind everything else of the same tenant that waits, but for what each eighth claim leaves to the oldest (ClaimCursor).</summary>
    private const short Priority = JobSpec.MaxPriority;

    private const int MaxTries = 10;

    private const int FaultsAtOnce = 1_000;

    /// <summary>The jobs themselves stop at the batch's end; the queue's deadline is for what nobody foresaw.</summary>
    private static readonly TimeSpan Slack = TimeSpan.FromHours(1);

    // Each line once; what a try before kept, stays.
    private const string NotMadeSql =
        """
        INSERT INTO aiaspire.job_parts (tenant_id, user_id, work_id, created_at, part, request_id, data, succeeded, cost)
        SELECT $1, $2, $3, $4, part, request_id, data, false, 0 FROM unnest($5, $6, $7) AS added(part, request_id, data)
        ON CONFLICT DO NOTHING
        """;

    private readonly HashSet<string> _ids = new(StringComparer.Ordinal);
    private readonly List<(int Line, Guid RequestId, byte[] Data)> _faults = [];
    private readonly List<BatchLines> _shares = [];
    private int _inShare;

    /// <summary>Requests in the file, faulty ones included.</summary>
    public int Total { get; private set; }

    public void Add(FileLine line)
    {
        Total++;
        var read = BatchLine.Read(line, batch.Endpoint);
        if (read.Fault is null && !_ids.Add(read.CustomId!))
            read = read with { Fault = new BatchFault("duplicate_custom_id", "The 'custom_id' is that of an earlier line, which was taken.", line.Number, "custom_id") };
        if (read.Fault is not null)
        {
            var id = time.NewId();
            _faults.Add((line.Number, id, cipher.Encrypt(BatchResult.Faulty(read, id), JobParts.PlaceOf(batch.BatchId, line.Number))));
            return;
        }

        // Of bytes no more than two pieces of the file, else every start of the job would read many.
        if (_shares.Count == 0 || _inShare == options.LinesPerJob || line.End - _shares[^1].Start > FileWriter.ChunkBytes)
        {
            _shares.Add(new BatchLines(batch.BatchId, batch.InputFileId, batch.Endpoint, batch.ExpiresAt, line.Number, line.Number + 1, line.Start, line.End));
            _inShare = 1;
            return;
        }

        _shares[^1] = _shares[^1] with { EndLine = line.Number + 1, End = line.End };
        _inShare++;
    }

    /// <summary>Keeps the faults as parts of the batch: they are done.</summary>
    public void AddFaults(TenantBatch transaction)
    {
        foreach (var faults in _faults.Chunk(FaultsAtOnce))
        {
            transaction.Add(
                NotMadeSql,
                Parameter.Of(batch.TenantId),
                Parameter.Of(batch.UserId),
                Parameter.Of(batch.BatchId),
                Parameter.Of(time.GetUtcNow().UtcDateTime),
                Parameter.Column(faults, f => f.Line),
                Parameter.Column(faults, f => f.RequestId),
                Parameter.Column(faults, f => f.Data));
        }
    }

    public IReadOnlyList<JobSpec> Jobs() => [.. _shares.Select(share => new JobSpec(BatchLinesJob.JobKind, JsonSerializer.SerializeToUtf8Bytes(share))
    {
        PartOf = batch.BatchId,
        Priority = Priority,
        MaxTries = MaxTries,
        Deadline = batch.ExpiresAt + Slack,
    })];
}
