using System.Buffers;
using System.Text;
using AiAspire.Core.Data;
using AiAspire.Core.Encryption;
using Microsoft.Extensions.Logging;

namespace AiAspire.Core.Jobs;

/// <summary>
/// What a running job says, for its listeners. The first words are written at once; after that everything that comes within
/// <see cref="JobOptions.EventMilliseconds"/> goes into one row, so that the database is not written for each token. What could not be written
/// is kept and tried again, at the latest with the job's end. Fenced by the lease like everything else of a run.
/// </summary>
public sealed partial class JobEventLog : IAsyncDisposable
{
    /// <summary>The NOTIFY channel that wakes listeners; the payload is the job's id.</summary>
    public const string Channel = "aiaspire_job_events";

    /// <summary>Rows a try may write before its sequence would run into the next one's.</summary>
    private const int SequenceBits = 24;

    private const string InsertSql =
        """
        INSERT INTO aiaspire.job_events (tenant_id, user_id, job_id, sequence, data, created_at)
        SELECT $1, $2, $3, $4, $5, now()
        WHERE EXISTS (SELECT FROM aiaspire.jobs j WHERE j.tenant_id = $1 AND j.user_id = $2 AND j.job_id = $3 AND j.lease_token = $6)
        ON CONFLICT DO NOTHING
        """;

    private const string ProgressSql =
        "UPDATE aiaspire.jobs SET progress = $5 WHERE tenant_id = $1 AND user_id = $2 AND job_id = $3 AND lease_token = $4";

    // A listener's comfort is not worth a disk's time: what a crash of the database loses here comes again with the next try.
    private const string LazyCommitSql = "SELECT set_config('synchronous_commit', 'off', true)";

    /// <summary>Bytes that wait while nothing can be written, which is some 15,000 tokens. What comes beyond that is not kept.</summary>
    private const int MaxWaiting = 4 * 1024 * 1024;

    private static readonly TimeSpan LongestPause = TimeSpan.FromSeconds(5);

    private readonly ClaimedJob _job;
    private readonly Func<ValueTask<ContentCipher>> _cipher;
    private readonly Func<TenantBatch, Task> _write;
    private readonly TimeSpan _interval;
    private readonly TimeProvider _time;
    private readonly ILogger<JobEventLog> _logger;
    private readonly Lock _lock = new();
    private readonly CancellationTokenSource _closing = new();
    private List<ReadOnlyMemory<byte>> _chunks = [];
    private long _waiting;
    private bool _lost;
    private double? _progress;
    private Task _writing = Task.CompletedTask;
    private long _sequence;
    private (long Sequence, byte[] Data)? _unwritten;
    private List<(long Sequence, byte[] Data)>? _rest;

    /// <param name="job">Whose events they are.</param>
    /// <param name="cipher">Of the job's user.</param>
    /// <param name="write">Runs a batch in the scope of the job's user.</param>
    /// <param name="interval">Between two writes.</param>
    /// <param name="time">The clock.</param>
    /// <param name="logger">The log.</param>
    internal JobEventLog(
        ClaimedJob job, Func<ValueTask<ContentCipher>> cipher, Func<TenantBatch, Task> write, TimeSpan interval, TimeProvider time, ILogger<JobEventLog> logger)
    {
        (_job, _cipher, _write, _interval, _time, _logger) = (job, cipher, write, interval, time, logger);
        _sequence = (long)job.Tries << SequenceBits;
    }

    /// <summary>Which try an event belongs to.</summary>
    public static int TryOf(long sequence) => (int)(sequence >> SequenceBits);

    /// <summary>Adds a piece of the answer, as UTF-8 JSON that the caller does not change any more.</summary>
    public void Add(ReadOnlyMemory<byte> json)
    {
        lock (_lock)
        {
            if (_waiting == 0 || _waiting + json.Length <= MaxWaiting)
            {
                _chunks.Add(json);
                _waiting += json.Length;
            }
            else if (!_lost)
            {
                _lost = true;
                LogLost(_logger, _job.JobId);
            }

            Start();
        }
    }

    /// <summary>Reports how far the job is, 0 to 1.</summary>
    public void Progress(double done)
    {
        lock (_lock)
        {
            _progress = Math.Clamp(done, 0, 1);
            Start();
        }
    }

    /// <summary>Stops the coalescing and waits for what is being written; what is left goes with <see cref="AddRest"/>. Never throws: the answer counts.</summary>
    public async Task CloseAsync()
    {
        await _closing.CancelAsync();
        await _writing;
    }

    public async ValueTask DisposeAsync()
    {
        await CloseAsync();
        _closing.Dispose();
    }

    /// <summary>
    /// Adds what is not written yet to the transaction that ends the job, so that listeners have it all before they hear of the end. The same
    /// again when that transaction is repeated.
    /// </summary>
    public void AddRest(TenantBatch batch, ContentCipher cipher)
    {
        if (_rest is null)
        {
            _rest = _unwritten is { } unwritten ? [unwritten] : [];
            if (Take().Data is { } data)
                _rest.Add((++_sequence, data));
        }

        foreach (var (sequence, data) in _rest)
            AddInsert(batch, sequence, data, cipher);
    }

    private void Start()
    {
        if (_writing.IsCompleted && !_closing.IsCancellationRequested)
            _writing = Task.Run(WriteAsync, CancellationToken.None);
    }

    private async Task WriteAsync()
    {
        var failed = 0;
        while (!_closing.IsCancellationRequested)
        {
            var (data, progress) = _unwritten is null ? Take() : (null, TakeProgress());
            if (data is not null)
                _unwritten = (++_sequence, data);
            if (_unwritten is null && progress is null)
                return;
            try
            {
                await WriteAsync(_unwritten, progress);
                (_unwritten, failed) = (null, 0);
            }
            catch (UserKeyDestroyedException e)
            {
                // Erased: there is nobody to listen, and nothing to write with.
                _unwritten = null;
                LogErased(_logger, _job.JobId, e);
            }
            catch (Exception e)
            {
                // Whatever it is, the answer that is being made goes on. The same row again: one that was written after all is in the way of itself.
                if (failed++ == 0)
                    LogFailed(_logger, _job.JobId, e);
                lock (_lock)
                    _progress ??= progress;
            }

            await Task.Delay(Pause(failed), _time, _closing.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    private TimeSpan Pause(int failed)
    {
        var longer = _interval * Math.Pow(2, Math.Min(failed, 10));
        return failed == 0 || longer < LongestPause ? longer : LongestPause;
    }

    private async Task WriteAsync((long Sequence, byte[] Data)? row, double? progress)
    {
        var batch = new TenantBatch().Add(LazyCommitSql);
        if (row is { } piece)
            AddInsert(batch, piece.Sequence, piece.Data, await _cipher());
        if (progress is { } done)
        {
            batch.Add(
                ProgressSql, Parameter.Of(_job.TenantId), Parameter.Of(_job.UserId), Parameter.Of(_job.JobId), Parameter.Of(_job.LeaseToken), Parameter.Of(done));
        }

        batch.Add("SELECT pg_notify($1, $2)", Parameter.Of(Channel), Parameter.Of(_job.JobId.ToString()));
        await _write(batch);
    }

    private void AddInsert(TenantBatch batch, long sequence, byte[] data, ContentCipher cipher) => batch.Add(
        InsertSql,
        Parameter.Of(_job.TenantId),
        Parameter.Of(_job.UserId),
        Parameter.Of(_job.JobId),
        Parameter.Of(sequence),
        Parameter.Of(cipher.Encrypt(data, ClaimedJob.EventPlace(_job.JobId, sequence))),
        Parameter.Of(_job.LeaseToken));

    /// <summary>The pieces as one JSON object: <c>{"try":1,"chunks":[…]}</c>.</summary>
    private (byte[]? Data, double? Progress) Take()
    {
        List<ReadOnlyMemory<byte>> chunks;
        double? progress;
        lock (_lock)
        {
            (chunks, _chunks) = (_chunks, []);
            (progress, _progress) = (_progress, null);
            _waiting = 0;
        }

        if (chunks.Count == 0)
            return (null, progress);
        var buffer = new ArrayBufferWriter<byte>();
        buffer.Write(Encoding.UTF8.GetBytes($$"""{"try":{{_job.Tries}},"chunks":["""));
        for (var i = 0; i < chunks.Count; i++)
        {
            if (i > 0)
                buffer.Write(","u8);
            buffer.Write(chunks[i].Span);
        }

        buffer.Write("]}"u8);
        return (buffer.WrittenSpan.ToArray(), progress);
    }

    private double? TakeProgress()
    {
        lock (_lock)
        {
            var progress = _progress;
            _progress = null;
            return progress;
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "Events of job {JobId} could not be written; they are kept and tried again")]
    private static partial void LogFailed(ILogger logger, Guid jobId, Exception exception);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Events of job {JobId} are not written any more: its user was erased")]
    private static partial void LogErased(ILogger logger, Guid jobId, Exception exception);

    [LoggerMessage(Level = LogLevel.Error, Message = "Events of job {JobId} wait for longer than there is room for them; its listeners miss some, and find them in its result")]
    private static partial void LogLost(ILogger logger, Guid jobId);
}
