using AiAspire.Core.Data;
using AiAspire.Core.Models;
using AiAspire.Core.Wire;
using Npgsql;

namespace AiAspire.Core.Ledger;

/// <summary>The statements that close a request's books, for the one transaction that settles it.</summary>
public static class Settlement
{
    // Only an open attempt is closed: settling twice changes nothing.
    private const string CloseAttemptSql =
        """
        UPDATE aiaspire.ledger_attempts SET
            outcome = $3, status_code = $4, error_code = $5, usage_source = $6,
            input_tokens = $7, cached_input_tokens = $8, cache_write_tokens = $9, output_tokens = $10, reasoning_tokens = $11,
            provider_cost = $12, provider_request_id = $13, settled_at = $14, latency_ms = $15, first_token_ms = $16
        WHERE tenant_id = $1 AND attempt_id = $2 AND outcome = 'Open'
        """;

    private const string InsertRequestSql =
        """
        INSERT INTO aiaspire.ledger_requests
            (tenant_id, request_id, user_pseudonym, api_key_id, conversation_id, feature, tier, requested_model, model, provider, outcome, stream,
             attempts, input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, provider_cost, charged_cost,
             started_at, finished_at, latency_ms)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23)
        ON CONFLICT (tenant_id, request_id) DO NOTHING
        """;

    /// <summary>
    /// Adds the closing of every attempt and the request's own row, and sets <see cref="ChatCall.ChargedCost"/>. A request is charged
    /// for the attempt that served it; what failed attempts cost is ours.
    /// </summary>
    public static void AddSettlement(this TenantBatch batch, ChatCall call, string outcome, DateTimeOffset now, TimeSpan latency)
    {
        foreach (var attempt in call.Attempts)
            batch.Add(CloseAttemptSql, CloseParameters(call, attempt, now));
        var served = call.Attempts.LastOrDefault(a => a.Outcome is AttemptOutcome.Succeeded or AttemptOutcome.Aborted);
        var usage = served?.Usage ?? default;
        call.ChargedCost = served?.Cost ?? 0;
        batch.Add(
            InsertRequestSql,
            Value(call.Caller.TenantId),
            Value(call.RequestId),
            Value(call.Caller.Pseudonym),
            Value(call.Caller.ApiKeyId),
            Value(call.ConversationId),
            Value(call.Feature),
            Value(call.Caller.Entitlements.Tier),
            Value(call.Request.Model),
            Value(served?.Target.Target.Model.Id),
            Value(served?.Target.Target.Provider),
            Value(outcome),
            Value(call.Request.Stream),
            Value(call.Attempts.Count),
            Value(usage.Input),
            Value(usage.CachedInput),
            Value(usage.CacheWrite),
            Value(usage.Output),
            Value(usage.Reasoning),
            Value(call.Attempts.Sum(a => a.Cost)),
            Value(call.ChargedCost.Value),
            Value(call.StartedAt.UtcDateTime),
            Value(now.UtcDateTime),
            Value(latency.TotalMilliseconds));
    }

    private static NpgsqlParameter[] CloseParameters(ChatCall call, Attempt attempt, DateTimeOffset now) =>
    [
        Value(call.Caller.TenantId),
        Value(attempt.AttemptId),
        Value(attempt.Outcome.ToString()),
        Value(attempt.Status),
        Value(attempt.ErrorCode),
        Value(attempt.UsageSource.ToString()),
        Value(attempt.Usage.Input),
        Value(attempt.Usage.CachedInput),
        Value(attempt.Usage.CacheWrite),
        Value(attempt.Usage.Output),
        Value(attempt.Usage.Reasoning),
        Value(attempt.Cost),
        Value(attempt.ProviderRequestId),
        Value(now.UtcDateTime),
        Value(attempt.Latency.TotalMilliseconds),
        Value(attempt.FirstToken?.TotalMilliseconds),
    ];

    private static NpgsqlParameter<T> Value<T>(T value) => new() { TypedValue = value };
}
