using System.Buffers;
using System.Text;
using AiAspire.Core.Data;
using AiAspire.Core.Encryption;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace AiAspire.Core.Jobs;

/// <summary>
/// What a running job says, for its listeners. The first words are written at once; after that everything that comes within
/// <see cref="JobOptions.EventMilliseconds"/> goes into one row, so that the database is not written for each token. Fenced by the lease
/// like everything else of a run.
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

    private readonly ClaimedJob _job;
    private readonly TenantSessions _sessions;
    private readonly UserKeys _userKeys;
    private readonly TimeSpan _interval;
    private readonly TimeProvider _time;
    private readonly ILogger<JobEventLog> _logger;
    private readonly Lock _lock = new();
    private readonly CancellationTokenSource _closing = new();
    private List<ReadOnlyMemory<byte>> _chunks = [];
    private double? _progress;
    private Task _writing = Task.CompletedTask;
    private long _sequence;
    private (long Sequence, byte[] Data)? _rest;

    internal JobEventLog(
        ClaimedJob job, TenantSessions sessions, UserKeys userKeys, TimeSpan interval, TimeProvider time, ILogger<JobEventLog> logger)
    {
        (_job, _sessions, _userKeys, _interval, _time, _logger) = (job, sessions, userKeys, interval, time, logger);
        _sequence = (long)job.Tries << SequenceBits;
    }

    /// <summary>Which try an event belongs to.</summary>
    public static int TryOf(long sequence) => (int)(sequence >> SequenceBits);

    /// <summary>Adds a piece of the answer, as UTF-8 JSON that the caller does not change any more.</summary>
    public void Add(ReadOnlyMemory<byte> json)
    {
        lock (_lock)
        {
            _chunks.Add(json);
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

    /// <summary>Stops the coalescing and waits for what is being written; what is left goes with <see cref="AddRest"/>.</summary>
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
        if (_rest is null && Take().Data is { } data)
            _rest = (Interlocked.Increment(ref _sequence), data);
        if (_rest is { } rest)
            AddInsert(batch, rest.Sequence, rest.Data, cipher);
    }

    private void Start()
    {
        if (_writing.IsCompleted && !_closing.IsCancellationRequested)
            _writing = Task.Run(WriteAsync, CancellationToken.None);
    }

    private async Task WriteAsync()
    {
        while (!_closing.IsCancellationRequested)
        {
            var (data, progress) = Take();
            if (data is null && progress is null)
                return;
            try
            {
                await WriteAsync(data, progress);
            }
            catch (Exception e) when (e is NpgsqlException or TimeoutException or IOException or UserKeyDestroyedException)
            {
                // Listeners miss some tokens; the result will be whole.
                LogFailed(_logger, _job.JobId, e);
            }

            await Task.Delay(_interval, _time, _closing.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    private async Task WriteAsync(byte[]? data, double? progress)
    {
        var batch = new TenantBatch().Add(LazyCommitSql);
        if (data is not null)
            AddInsert(batch, Interlocked.Increment(ref _sequence), data, await _userKeys.GetAsync(_job.TenantId, _job.UserId, CancellationToken.None));
        if (progress is { } done)
        {
            batch.Add(
                ProgressSql, Parameter.Of(_job.TenantId), Parameter.Of(_job.UserId), Parameter.Of(_job.JobId), Parameter.Of(_job.LeaseToken), Parameter.Of(done));
        }

        batch.Add("SELECT pg_notify($1, $2)", Parameter.Of(Channel), Parameter.Of(_job.JobId.ToString()));
        await _sessions.Open(_job.Scope).ExecuteAsync(batch, CancellationToken.None);
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

    [LoggerMessage(Level = LogLevel.Warning, Message = "Events of job {JobId} could not be written; its listeners miss them")]
    private static partial void LogFailed(ILogger logger, Guid jobId, Exception exception);
}
