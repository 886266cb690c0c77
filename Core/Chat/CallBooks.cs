using AiAspire.Core.Conversations;
using AiAspire.Core.Data;
using AiAspire.Core.Encryption;
using AiAspire.Core.Ledger;
using AiAspire.Core.Wire;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace AiAspire.Core.Chat;

/// <summary>Where a call is written down when it ends.</summary>
public interface ICallBooks
{
    /// <summary>Gets ready before anything is spent: without the user's key the messages could not be kept.</summary>
    /// <returns>Writes attempts, charge and messages in one transaction, however the call ended; returns when it is committed.</returns>
    ValueTask<SettleCall> OpenAsync(ChatCall call, CancellationToken cancellationToken);
}

/// <summary>Writes a call down.</summary>
/// <param name="end">How it ended.</param>
public delegate Task SettleCall(CallEnd end);

/// <summary>
/// The books in PostgreSQL, with the metrics and the log line of each call. Calls that end at the same moment share one transaction,
/// whoever's they are; one that must also finish something of its tenant's (a job, an idempotency key) has a transaction of its own,
/// in that tenant's scope.
/// </summary>
public sealed partial class CallBooks : ICallBooks
{
    /// <summary>A database that restarts is back within seconds; until then the reply's last byte waits.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(15);
    private static readonly TimeSpan LongestPause = TimeSpan.FromSeconds(1);

    private readonly TenantSessions _sessions;
    private readonly UserKeys _userKeys;
    private readonly ChatMetrics _metrics;
    private readonly TimeProvider _time;
    private readonly ILogger<CallBooks> _logger;
    private readonly Func<Entry, Task> _write;

    public CallBooks(LedgerRole ledger, TenantSessions sessions, UserKeys userKeys, ChatMetrics metrics, TimeProvider time, ILogger<CallBooks> logger)
    {
        (_sessions, _userKeys, _metrics, _time, _logger) = (sessions, userKeys, metrics, time, logger);
        _write = ledger.Writes<Entry>(Statements);
    }

    public async ValueTask<SettleCall> OpenAsync(ChatCall call, CancellationToken cancellationToken)
    {
        var cipher = await _userKeys.GetAsync(call.Caller.TenantId, call.Caller.UserId, cancellationToken);
        return end => SettleAsync(call, cipher, end);
    }

    private async Task SettleAsync(ChatCall call, ContentCipher cipher, CallEnd end)
    {
        var (outcome, charged, also) = end;
        var settled = new SettledCall(call, outcome, call.EndedAt ??= _time.GetUtcNow(), _time.GetElapsedTime(call.StartTimestamp), charged);
        var entry = new Entry(settled, charged && call is { Request: ChatRequest chat, ConversationId: not null } ? new NewMessages(call, chat.Messages, cipher, _time) : null);
        var (started, pause) = (_time.GetTimestamp(), TimeSpan.FromMilliseconds(50));
        for (var attempt = 1; ; attempt++)
        {
            // Not the caller's token: a caller who leaves is settled like any other.
            try
            {
                await (also is null ? _write(entry) : WriteAloneAsync(entry, also));
                break;
            }
            catch (Exception e) when (e is NpgsqlException { IsTransient: true } && _time.GetElapsedTime(started) < Patience)
            {
                // Should the lost answer have been a commit: every statement is keyed by ids made before and may be repeated.
                LogSettleRetry(_logger, call.RequestId, attempt, e);
            }
            catch (Exception e)
            {
                LogNotSettled(_logger, call.RequestId, attempt, e);
                throw;
            }

            await Task.Delay(pause, _time);
            pause = pause * 2 < LongestPause ? pause * 2 : LongestPause;
        }

        call.ChargedCost = settled.ChargedCost;
        _metrics.Record(settled);
        LogCall(_logger, settled);
    }

    private Task WriteAloneAsync(Entry entry, Action<TenantBatch> also)
    {
        var batch = new TenantBatch();
        foreach (var statement in Statements([entry]))
            batch.Add(statement);
        also(batch);
        return TimedWrite.RunAsync(_time, token => _sessions.Open(entry.Settled.Call.Caller.Scope).ExecuteAsync(batch, token));
    }

    private static List<NpgsqlBatchCommand> Statements(IReadOnlyList<Entry> entries)
    {
        SettledCall[] settled = [.. entries.Select(static e => e.Settled)];
        NewMessages[] messages = [.. entries.Select(static e => e.Messages).OfType<NewMessages>()];
        var statements = new List<NpgsqlBatchCommand>(5);
        if (Settlement.CloseAttempts(settled) is { } attempts)
            statements.Add(attempts);
        statements.AddRange(Settlement.BookRequests(settled));
        if (messages.Length > 0)
            statements.AddRange([NewMessages.TouchConversations(messages), NewMessages.Insert(messages)]);
        return statements;
    }

    private sealed record Entry(SettledCall Settled, NewMessages? Messages);

    private static void LogCall(ILogger logger, SettledCall settled)
    {
        if (!logger.IsEnabled(LogLevel.Information))
            return;
        var call = settled.Call;
        if (call.CacheHit is { } hit)
        {
            LogCacheHit(logger, call.RequestId, hit.Model, hit.Provider, call.Feature, call.Caller.Entitlements.Tier, call.SavedCost, settled.Latency.TotalMilliseconds);
            return;
        }

        var last = call.Attempts[^1];
        LogCallDone(
            logger, call.RequestId, settled.Outcome, last.Target.Target.Model.Id, last.Target.Target.Provider, call.Feature, call.Caller.Entitlements.Tier, call.Attempts.Count,
            last.Usage.TotalInput, last.Usage.Output, last.UsageSource, settled.ChargedCost, last.Latency.TotalMilliseconds, last.Status, last.ErrorCode);
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "Settling request {RequestId} failed at try {Try}; trying again")]
    private static partial void LogSettleRetry(ILogger logger, Guid requestId, int @try, Exception exception);

    [LoggerMessage(Level = LogLevel.Error, EventName = "llm.not_settled", Message = "Request {RequestId} could not be settled in {Tries} tries: its attempts stay open for the reconciler")]
    private static partial void LogNotSettled(ILogger logger, Guid requestId, int tries, Exception exception);

    [LoggerMessage(
        Level = LogLevel.Information,
        EventName = "llm.cached",
        Message = "LLM call {RequestId} answered from the cache: {Model} at {Provider} for {Feature}/{Tier}, {SavedUsd} USD saved, {LatencyMs} ms")]
    private static partial void LogCacheHit(ILogger logger, Guid requestId, string model, string provider, string feature, string tier, decimal savedUsd, double latencyMs);

    [LoggerMessage(
        Level = LogLevel.Information,
        EventName = "llm.call",
        Message = "LLM call {RequestId} {Outcome}: {Model} at {Provider} for {Feature}/{Tier}, {Attempts} attempt(s), {InputTokens} in, {OutputTokens} out ({UsageSource}), {CostUsd} USD, {LatencyMs} ms, status {Status} {ErrorCode}")]
    private static partial void LogCallDone(
        ILogger logger, Guid requestId, string outcome, string model, string provider, string feature, string tier, int attempts,
        long inputTokens, long outputTokens, Models.UsageSource usageSource, decimal costUsd, double latencyMs, int? status, string? errorCode);
}
