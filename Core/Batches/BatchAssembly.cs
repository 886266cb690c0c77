using System.Runtime.CompilerServices;
using AiAspire.Core.Data;
using AiAspire.Core.Encryption;
using AiAspire.Core.Files;
using AiAspire.Core.Jobs;
using Microsoft.Extensions.Options;

namespace AiAspire.Core.Batches;

/// <summary>
/// Puts the answers of a batch together, in the order of its lines, in an output and an error file, so that each request stands in one of
/// them once. Files of a try that dies are never seen; the one that commits makes them, ends the batch and uses its parts up.
/// </summary>
public sealed class BatchAssembly(FileStore files, IOptions<BatchOptions> options, TimeProvider time)
{
    /// <summary>Answers in memory; each may be as large as a reply.</summary>
    private const int AtOnce = 100;

    private const string EndSql =
        """
        UPDATE aiaspire.batches SET state = $4, output_file_id = $5, error_file_id = $6, completed = $7, failed = $8, cost = $9, total = coalesce(total, 0), finished_at = $10
        WHERE tenant_id = $1 AND user_id = $2 AND batch_id = $3
        """;

    private const string FinalizingSql =
        "UPDATE aiaspire.batches SET state = 'Finalizing', finalizing_at = $4 WHERE tenant_id = $1 AND user_id = $2 AND batch_id = $3 AND state = 'InProgress'";

    /// <exception cref="Npgsql.PostgresException">The lease is lost.</exception>
    public async Task FinishAsync(ClaimedJob job, Batch batch, TenantSession session, ContentCipher cipher, CancellationToken cancellationToken)
    {
        var finalizing = new TenantBatch();
        JobQueue.AddHold(finalizing, job);
        finalizing.Add(FinalizingSql, Parameter.Of(job.TenantId), Parameter.Of(job.UserId), Parameter.Of(batch.BatchId), Parameter.Of(time.GetUtcNow().UtcDateTime));
        await session.ExecuteAsync(finalizing, cancellationToken);

        var missing = await MissingAsync(batch, session, cancellationToken);
        var (state, code, message) = batch switch
        {
            { State: BatchState.Cancelling } => (BatchState.Cancelled, "batch_cancelled", "The batch was cancelled before this request was begun."),
            _ when missing.Count > 0 && batch.ExpiresAt <= time.GetUtcNow() => (BatchState.Expired, "batch_expired", "This request could not be executed before the completion window expired."),
            _ => (BatchState.Completed, "not_processed", "The request could not be processed; nothing was charged for it. Send it again."),
        };
        var (output, errors) = (new Target(files, session, "output", batch.OutputKeptFor), new Target(files, session, "errors", batch.OutputKeptFor));
        var (cost, next) = (0m, 0);
        await foreach (var part in PartsAsync(batch.BatchId, session, cipher, cancellationToken))
        {
            await WriteMissingAsync(part.Part);
            await (part.Succeeded ? output : errors).AddAsync(part.Data, cancellationToken);
            cost += part.Cost;
        }

        await WriteMissingAsync(int.MaxValue);
        var end = new TenantBatch();
        JobQueue.AddFinish(end, job, new JobEnd(JobState.Succeeded, Cost: cost));
        await output.SealAsync(end, cancellationToken);
        await errors.SealAsync(end, cancellationToken);
        JobParts.AddDelete(end, job, batch.BatchId);
        end.Add(
            EndSql, Parameter.Of(job.TenantId), Parameter.Of(job.UserId), Parameter.Of(batch.BatchId), Parameter.Of(state.ToString()), Parameter.Of(output.FileId), Parameter.Of(errors.FileId),
            Parameter.Of(output.Lines), Parameter.Of(errors.Lines), Parameter.Of(cost), Parameter.Of(time.GetUtcNow().UtcDateTime));
        await session.ExecuteAsync(end, cancellationToken);

        // Those that stand before a line: all are in the order of the file.
        async Task WriteMissingAsync(int before)
        {
            for (; next < missing.Count && missing[next].Line < before; next++)
                await errors.AddAsync(BatchResult.NotMade(missing[next].CustomId, time.NewId(), code, message), cancellationToken);
        }
    }

    /// <summary>Lines that came to no part, with their own names.</summary>
    private async Task<List<(int Line, string? CustomId)>> MissingAsync(Batch batch, TenantSession session, CancellationToken cancellationToken)
    {
        var missing = new List<(int, string?)>();
        var done = await JobParts.ReadDoneAsync(session, batch.BatchId, 0, int.MaxValue, cancellationToken);
        if (done.Count == (batch.Total ?? 0) || await FileStore.LengthAsync(session, batch.InputFileId, cancellationToken) is not { } length)
            return missing;
        var content = files.ReadAsync(session, batch.InputFileId, 0, length, cancellationToken);
        await foreach (var line in FileLines.ReadAsync(content, 1, 0, options.Value.MaxLineBytes, cancellationToken))
        {
            if (!done.Contains(line.Number))
                missing.Add((line.Number, BatchLine.Read(line, batch.Endpoint).CustomId));
        }

        return missing;
    }

    private static async IAsyncEnumerable<(int Part, bool Succeeded, decimal Cost, byte[] Data)> PartsAsync(
        Guid batchId, TenantSession session, ContentCipher cipher, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var last = -1;
        while (await JobParts.ReadAsync(session, batchId, last, AtOnce, cipher, cancellationToken) is { Count: > 0 } parts)
        {
            foreach (var part in parts)
                yield return part;
            last = parts[^1].Part;
        }
    }

    /// <summary>A file that is begun with its first line.</summary>
    private sealed class Target(FileStore files, TenantSession session, string name, TimeSpan? keptFor)
    {
        private FileWriter? _writer;

        public Guid? FileId => _writer?.FileId;

        public int Lines { get; private set; }

        public async Task AddAsync(byte[] line, CancellationToken cancellationToken)
        {
            _writer ??= await files.BeginAsync(session, $"{name}.jsonl", FilePurposes.BatchOutput, maxBytes: null, cancellationToken);
            await _writer.WriteAsync(line, cancellationToken);
            Lines++;
        }

        public async Task SealAsync(TenantBatch batch, CancellationToken cancellationToken)
        {
            if (_writer is null)
                return;
            await _writer.CompleteAsync(cancellationToken);
            _writer.AddSeal(batch, keptFor);
        }
    }
}
