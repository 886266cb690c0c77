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
    /// for the attempt that served it; what failed attempts cost is ours, and so is what will be done again (not <paramref name="charged"/>).
    /// </summary>
    public static void AddSettlement(this TenantBatch batch, ChatCall call, string outcome, DateTimeOffset now, TimeSpan latency, bool charged = true)
    {
        foreach (var attempt in call.Attempts)
            batch.Add(CloseAttemptSql, CloseParameters(call, attempt, now));
        var served = charged ? call.Served : null;
        var usage = served?.Usage ?? default;
        call.ChargedCost = served?.Cost ?? 0;
        batch.Add(
            InsertRequestSql,
            Parameter.Of(call.Caller.TenantId),
            Parameter.Of(call.RequestId),
            Parameter.Of(call.Caller.Pseudonym),
            Parameter.Of(call.Caller.ApiKeyId),
            Parameter.Of(call.ConversationId),
            Parameter.Of(call.Feature),
            Parameter.Of(call.Caller.Entitlements.Tier),
            Parameter.Of(call.Request.Model),
            Parameter.Of(served?.Target.Target.Model.Id),
            Parameter.Of(served?.Target.Target.Provider),
            Parameter.Of(outcome),
            Parameter.Of(call.Request.Stream),
            Parameter.Of(call.Attempts.Count),
            Parameter.Of(usage.Input),
            Parameter.Of(usage.CachedInput),
            Parameter.Of(usage.CacheWrite),
            Parameter.Of(usage.Output),
            Parameter.Of(usage.Reasoning),
            Parameter.Of(call.Attempts.Sum(a => a.Cost)),
            Parameter.Of(call.ChargedCost.Value),
            Parameter.Of(call.StartedAt.UtcDateTime),
            Parameter.Of(now.UtcDateTime),
            Parameter.Of(latency.TotalMilliseconds));
    }

    private static NpgsqlParameter[] CloseParameters(ChatCall call, Attempt attempt, DateTimeOffset now) =>
    [
        Parameter.Of(call.Caller.TenantId),
        Parameter.Of(attempt.AttemptId),
        Parameter.Of(attempt.Outcome.ToString()),
        Parameter.Of(attempt.Status),
        Parameter.Of(attempt.ErrorCode),
        Parameter.Of(attempt.UsageSource.ToString()),
        Parameter.Of(attempt.Usage.Input),
        Parameter.Of(attempt.Usage.CachedInput),
        Parameter.Of(attempt.Usage.CacheWrite),
        Parameter.Of(attempt.Usage.Output),
        Parameter.Of(attempt.Usage.Reasoning),
        Parameter.Of(attempt.Cost),
        Parameter.Of(attempt.ProviderRequestId),
        Parameter.Of(now.UtcDateTime),
        Parameter.Of(attempt.Latency.TotalMilliseconds),
        Parameter.Of(attempt.FirstToken?.TotalMilliseconds),
    ];
}
