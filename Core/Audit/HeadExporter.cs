using System.Threading.Channels;
using AiAspire.Core.Data;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Npgsql;

namespace AiAspire.Core.Audit;

/// <summary>
/// Signs the heads of chains that have grown and writes them to the heads file: every few seconds, at once when a chain grows fast,
/// and a last time at shutdown. It signs only what continues the chain it signed before, so a rewritten one never gets our signature.
/// </summary>
internal sealed partial class HeadExporter(
    TenantSessions sessions,
    AuditReader reader,
    HeadsFile file,
    HeadSigningKey key,
    TimeProvider time,
    IOptions<AuditOptions> options,
    ILogger<HeadExporter> logger) : BackgroundService
{
    /// <summary>The change-feed topic with which <c>append_audit</c> asks for a head at once.</summary>
    public const string Topic = "audit_heads";

    /// <summary>A head is visible when its transaction commits, which is later than its time; none takes this long.</summary>
    private static readonly TimeSpan CommitLag = TimeSpan.FromMinutes(10);
    private static readonly TimeSpan LockPause = TimeSpan.FromMilliseconds(100);
    private const int LockAttempts = 50;

    private readonly Channel<bool> _wake = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });
    private readonly Dictionary<Guid, SignedHead> _last = [];
    private readonly HashSet<Guid> _broken = [];
    private DateTimeOffset _since = DateTimeOffset.UnixEpoch;
    private long _position;
    private byte[] _tail = [];

    public Task WakeAsync(CancellationToken cancellationToken)
    {
        _wake.Writer.TryWrite(true);
        return Task.CompletedTask;
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        while (!stoppingToken.IsCancellationRequested)
        {
            await TryExportAsync(stoppingToken);
            using var pause = CancellationTokenSource.CreateLinkedTokenSource(stoppingToken);
            var interval = Task.Delay(TimeSpan.FromSeconds(options.Value.HeadIntervalSeconds), time, pause.Token);
            var woken = _wake.Reader.ReadAsync(pause.Token).AsTask();
            await Task.WhenAny(interval, woken);
            await pause.CancelAsync();
            await Task.WhenAll(interval, woken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    public override async Task StopAsync(CancellationToken cancellationToken)
    {
        await base.StopAsync(cancellationToken);
        await TryExportAsync(cancellationToken);
    }

    private async Task TryExportAsync(CancellationToken cancellationToken)
    {
        try
        {
            await ExportAsync(cancellationToken);
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            LogCut(logger);
        }
        catch (Exception e)
        {
            LogFailed(logger, file.Path, e);
        }
    }

    private async Task ExportAsync(CancellationToken cancellationToken)
    {
        var started = time.GetUtcNow();
        if ((await GrownAsync(cancellationToken)).Count > 0)
        {
            using var held = await LockAsync(cancellationToken);
            ReadOn(held);
            // Again, now that nobody else signs: a mark from before another replica's heads would seem to say that there were none.
            var grown = await GrownAsync(cancellationToken);
            var heads = new List<SignedHead>();
            foreach (var (tenant, sequence, hash, mark) in grown)
                if (!LacksHeads(tenant, mark) && await ContinuesAsync(tenant, sequence, hash, cancellationToken))
                    heads.Add(SignedHead.Sign(key, tenant, sequence, hash, time.GetUtcNow()));
            if (heads.Count > 0)
            {
                held.Append(heads, ref _position);
                _tail = held.TailAt(_position) ?? [];
            }

            foreach (var head in heads)
            {
                _last[head.TenantId] = head;
                // After the file: a mark must never be ahead of what is there.
                await sessions.Open(new TenantScope(head.TenantId, null)).QueryAsync(
                    new NpgsqlBatchCommand("SELECT aiaspire.note_signed_head($1)") { Parameters = { Parameter.Of(head.Sequence) } }, static _ => { }, cancellationToken);
            }
        }

        // Only now: what failed above is asked for again.
        _since = started - CommitLag;
    }

    /// <summary>Chains with entries beyond the last head that we know of.</summary>
    private async Task<List<(Guid Tenant, long Sequence, byte[] Hash, long Mark)>> GrownAsync(CancellationToken cancellationToken)
    {
        var grown = new List<(Guid Tenant, long Sequence, byte[] Hash, long Mark)>();
        await sessions.CallFunctionAsync(
            "SELECT tenant_id, sequence, hash, signed_sequence FROM aiaspire.audit_heads_since($1)",
            row => grown.Add((row.GetGuid(0), row.GetInt64(1), row.GetFieldValue<byte[]>(2), row.GetInt64(3))),
            cancellationToken,
            new NpgsqlParameter<DateTime> { TypedValue = _since.UtcDateTime });
        // What we know was committed before this query ran, so a head behind it has lost entries.
        foreach (var (tenant, sequence, _, _) in grown)
            if (_last.TryGetValue(tenant, out var last) && last.Sequence > sequence && _broken.Add(tenant))
                LogBroken(logger, tenant, sequence + 1);
        grown.RemoveAll(h => _last.TryGetValue(h.Tenant, out var last) && last.Sequence >= h.Sequence);
        return grown;
    }

    private async Task<HeadsFileLock> LockAsync(CancellationToken cancellationToken)
    {
        for (var attempt = 1; ; attempt++)
        {
            if (file.TryLock() is { } held)
                return held;
            if (attempt == LockAttempts)
                throw new IOException($"The heads file '{file.Path}' is held by another process.");
            await Task.Delay(LockPause, time, cancellationToken);
        }
    }

    /// <summary>Takes in what other replicas signed meanwhile.</summary>
    private void ReadOn(HeadsFileLock held)
    {
        if (!held.TailAt(_position).AsSpan().SequenceEqual(_tail))
        {
            LogShrunk(logger, file.Path);
            _position = 0;
            // What was signed must be in the file: memory is no proof to anyone.
            _last.Clear();
        }

        var heads = held.ReadFrom(ref _position);
        _tail = held.TailAt(_position) ?? [];
        foreach (var head in heads)
            if (head is not null && head.IsSignedBy(key) && !(_last.TryGetValue(head.TenantId, out var last) && last.Sequence >= head.Sequence))
                _last[head.TenantId] = head;
    }

    /// <summary>
    /// Whether heads of this chain were signed that the file does not have any more. Without them nothing says that the chain is still the
    /// one that was signed, so a new signature would be a false one.
    /// </summary>
    private bool LacksHeads(Guid tenant, long mark)
    {
        var signed = _last.GetValueOrDefault(tenant)?.Sequence ?? 0;
        if (signed >= mark)
            return false;
        if (_broken.Add(tenant))
            LogHeadsMissing(logger, tenant, signed + 1, mark, file.Path);
        return !options.Value.AcceptMissingHeads;
    }

    private async Task<bool> ContinuesAsync(Guid tenant, long sequence, byte[] hash, CancellationToken cancellationToken)
    {
        var last = _last.GetValueOrDefault(tenant);
        if (last?.Sequence >= sequence)
            return false;
        var walk = new ChainWalk(last?.Sequence ?? 0, last?.Hash ?? new byte[AuditEncoding.HashBytes]);
        var fault = AuditFault.None;
        await foreach (var entry in reader.ReadAsync(tenant, walk.Sequence, sequence, cancellationToken))
            if ((fault = walk.Take(entry)) != AuditFault.None)
                break;
        if (fault == AuditFault.None && walk.Sequence == sequence && hash.AsSpan().SequenceEqual(walk.Hash))
        {
            _broken.Remove(tenant);
            return true;
        }

        if (_broken.Add(tenant))
            LogBroken(logger, tenant, walk.Sequence + 1);
        return false;
    }

    [LoggerMessage(Level = LogLevel.Critical, Message = "The audit chain of tenant {Tenant} is broken at {Sequence}; no head of it is signed any more. Verify it: POST /v1/audit/verify")]
    private static partial void LogBroken(ILogger logger, Guid tenant, long sequence);

    [LoggerMessage(Level = LogLevel.Critical, Message = "Signed heads {First} to {Last} of the audit chain of tenant {Tenant} are missing in {Path}. Bring the file back from its copy; until then no head of this chain is signed")]
    private static partial void LogHeadsMissing(ILogger logger, Guid tenant, long first, long last, string path);

    [LoggerMessage(Level = LogLevel.Error, Message = "Audit heads could not be written to {Path}; the next attempt follows")]
    private static partial void LogFailed(ILogger logger, string path, Exception exception);

    [LoggerMessage(Level = LogLevel.Warning, Message = "The audit heads file {Path} is not the one that was written: it is gone, shorter or changed")]
    private static partial void LogShrunk(ILogger logger, string path);

    [LoggerMessage(Level = LogLevel.Information, Message = "Stopped while audit heads were written; the next start writes them")]
    private static partial void LogCut(ILogger logger);
}
