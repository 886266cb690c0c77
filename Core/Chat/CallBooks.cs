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
/// <param name="outcome"><c>succeeded</c>, <c>failed</c> or <c>aborted</c>.</param>
public delegate Task SettleCall(string outcome);

/// <summary>The books in PostgreSQL, with the metrics and the log line of each call.</summary>
public sealed partial class CallBooks(TenantSessions sessions, UserKeys userKeys, ChatMetrics metrics, TimeProvider time, ILogger<CallBooks> logger) : ICallBooks
{
    private const int MaxTries = 3;
    private static readonly TimeSpan TryTimeout = TimeSpan.FromSeconds(10);

    public async ValueTask<SettleCall> OpenAsync(ChatCall call, CancellationToken cancellationToken)
    {
        var cipher = await userKeys.GetAsync(call.Caller.TenantId, call.Caller.UserId, cancellationToken);
        return outcome => SettleAsync(call, cipher, outcome);
    }

    private async Task SettleAsync(ChatCall call, ContentCipher cipher, string outcome)
    {
        var latency = time.GetElapsedTime(call.StartTimestamp);
        var batch = new TenantBatch();
        // What will be done again leaves its attempts in the ledger and nothing else.
        var counts = outcome == "succeeded" || (call.EndUnfinished?.Invoke(batch) ?? true);
        batch.AddSettlement(call, outcome, time.GetUtcNow(), latency, counts);
        if (counts)
            batch.AddMessages(call, cipher, time);
        if (outcome == "succeeded")
            call.AlsoSettle?.Invoke(batch);
        for (var attempt = 1; ; attempt++)
        {
            // Not the caller's token: a caller who leaves is settled like any other.
            using var timeout = new CancellationTokenSource(TryTimeout, time);
            try
            {
                await sessions.Open(call.Caller.Scope).ExecuteAsync(batch, timeout.Token);
                break;
            }
            catch (Exception e) when (attempt < MaxTries && e is NpgsqlException { IsTransient: true } or OperationCanceledException)
            {
                // Should the lost answer have been a commit: every statement is keyed by ids made before and may be repeated.
                LogSettleRetry(logger, call.RequestId, attempt, e);
            }
        }

        metrics.Record(call, outcome, latency);
        LogCall(logger, call.RequestId, outcome, call);
    }

    private static void LogCall(ILogger logger, Guid requestId, string outcome, ChatCall call)
    {
        var served = call.Attempts[^1];
        LogCallDone(
            logger, requestId, outcome, served.Target.Target.Model.Id, served.Target.Target.Provider, call.Feature, call.Caller.Entitlements.Tier, call.Attempts.Count,
            served.Usage.TotalInput, served.Usage.Output, served.UsageSource, call.ChargedCost ?? 0, served.Latency.TotalMilliseconds, served.Status, served.ErrorCode);
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "Settling request {RequestId} failed at try {Try}; trying again")]
    private static partial void LogSettleRetry(ILogger logger, Guid requestId, int @try, Exception exception);

    [LoggerMessage(
        Level = LogLevel.Information,
        EventName = "llm.call",
        Message = "LLM call {RequestId} {Outcome}: {Model} at {Provider} for {Feature}/{Tier}, {Attempts} attempt(s), {InputTokens} in, {OutputTokens} out ({UsageSource}), {CostUsd} USD, {LatencyMs} ms, status {Status} {ErrorCode}")]
    private static partial void LogCallDone(
        ILogger logger, Guid requestId, string outcome, string model, string provider, string feature, string tier, int attempts,
        long inputTokens, long outputTokens, Models.UsageSource usageSource, decimal costUsd, double latencyMs, int? status, string? errorCode);
}
