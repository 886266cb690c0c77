using System.Runtime.CompilerServices;
using AiAspire.Core.Conversations;
using AiAspire.Core.Data;
using AiAspire.Core.Encryption;
using AiAspire.Core.Ledger;
using AiAspire.Core.Wire;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace AiAspire.Core.Chat;

/// <summary>
/// The outermost step. Whatever way a call ends, its attempts, its charge and its messages are written in one transaction; the
/// enumeration ends only after the commit, so a reply's last byte says that its books are closed.
/// </summary>
public sealed partial class SettleStep(TenantSessions sessions, UserKeys userKeys, ChatMetrics metrics, TimeProvider time, ILogger<SettleStep> logger) : IChatStep
{
    private const int MaxTries = 3;
    private static readonly TimeSpan TryTimeout = TimeSpan.FromSeconds(10);

    public async IAsyncEnumerable<ChatEvent> InvokeAsync(ChatCall call, ChatNext next, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        // Before anything is spent: without the user's key the messages could not be kept.
        var cipher = await userKeys.GetAsync(call.Caller.TenantId, call.Caller.UserId, cancellationToken);
        var outcome = "failed";
        try
        {
            await foreach (var reply in next(call, cancellationToken))
                yield return reply;
            outcome = "succeeded";
        }
        finally
        {
            if (cancellationToken.IsCancellationRequested && outcome != "succeeded")
                outcome = "aborted";
            // A call that no provider saw leaves nothing behind.
            if (call.Attempts.Count > 0)
                await SettleAsync(call, cipher, outcome);
        }
    }

    private async Task SettleAsync(ChatCall call, ContentCipher cipher, string outcome)
    {
        var latency = time.GetElapsedTime(call.StartTimestamp);
        var batch = new TenantBatch();
        batch.AddSettlement(call, outcome, time.GetUtcNow(), latency);
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
