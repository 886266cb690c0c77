using AiAspire.Core.Data;
using AiAspire.Core.Models;
using AiAspire.Core.Wire;
using Npgsql;

namespace AiAspire.Core.Ledger;

/// <summary>A call whose books are to be closed.</summary>
/// <param name="Call">The call.</param>
/// <param name="Outcome"><c>succeeded</c>, <c>failed</c> or <c>aborted</c>.</param>
/// <param name="At">When it ended.</param>
/// <param name="Latency">From the first byte of the request.</param>
public sealed record SettledCall(ChatCall Call, string Outcome, DateTimeOffset At, TimeSpan Latency)
{
    /// <summary>US dollars. A request is charged for the attempt that served it; what failed attempts cost is ours.</summary>
    public decimal ChargedCost => Served?.Cost ?? 0;

    /// <summary>The attempt that served, if one did.</summary>
    public Attempt? Served { get; } = Call.Served;
}

/// <summary>The statements that close the books of calls, any number in each.</summary>
public static class Settlement
{
    // Only an open attempt is closed: settling twice changes nothing. The bounds keep it to the partitions of those attempts.
    private const string CloseAttemptsSql =
        """
        UPDATE aiaspire.ledger_attempts a SET
            outcome = s.outcome, status_code = s.status_code, error_code = s.error_code, usage_source = s.usage_source,
            input_tokens = s.input, cached_input_tokens = s.cached, cache_write_tokens = s.cache_write, output_tokens = s.output,
            reasoning_tokens = s.reasoning, provider_cost = s.cost, provider_request_id = s.provider_request_id, settled_at = s.settled_at,
            latency_ms = s.latency_ms, first_token_ms = s.first_token_ms
        FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
            AS s(tenant_id, attempt_id, outcome, status_code, error_code, usage_source, input, cached, cache_write, output, reasoning,
                 cost, provider_request_id, settled_at, latency_ms, first_token_ms)
        WHERE a.tenant_id = s.tenant_id AND a.attempt_id = s.attempt_id AND a.outcome = 'Open' AND a.attempt_id BETWEEN $17 AND $18
        """;

    private const string BookRequestsSql =
        """
        INSERT INTO aiaspire.ledger_requests
            (tenant_id, request_id, user_pseudonym, api_key_id, conversation_id, feature, tier, requested_model, model, provider, outcome, stream,
             attempts, input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, provider_cost, charged_cost,
             started_at, finished_at, latency_ms)
        SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23)
        ON CONFLICT DO NOTHING
        """;

    /// <summary>Closes every attempt of the calls.</summary>
    public static NpgsqlBatchCommand CloseAttempts(IReadOnlyList<SettledCall> calls)
    {
        var rows = new List<(SettledCall Settled, Attempt Attempt)>(calls.Count);
        foreach (var settled in calls)
        {
            foreach (var attempt in settled.Call.Attempts)
                rows.Add((settled, attempt));
        }

        return new NpgsqlBatchCommand(CloseAttemptsSql)
        {
            Parameters =
            {
                Parameter.Column(rows, static r => r.Settled.Call.Caller.TenantId),
                Parameter.Column(rows, static r => r.Attempt.AttemptId),
                Parameter.Column(rows, static r => Name(r.Attempt.Outcome)),
                Parameter.Column(rows, static r => r.Attempt.Status),
                Parameter.Column(rows, static r => r.Attempt.ErrorCode),
                Parameter.Column(rows, static r => Name(r.Attempt.UsageSource)),
                Parameter.Column(rows, static r => r.Attempt.Usage.Input),
                Parameter.Column(rows, static r => r.Attempt.Usage.CachedInput),
                Parameter.Column(rows, static r => r.Attempt.Usage.CacheWrite),
                Parameter.Column(rows, static r => r.Attempt.Usage.Output),
                Parameter.Column(rows, static r => r.Attempt.Usage.Reasoning),
                Parameter.Column(rows, static r => r.Attempt.Cost),
                Parameter.Column(rows, static r => r.Attempt.ProviderRequestId),
                Parameter.Column(rows, static r => r.Settled.At.UtcDateTime),
                Parameter.Column(rows, static r => r.Attempt.Latency.TotalMilliseconds),
                Parameter.Column(rows, static r => r.Attempt.FirstToken?.TotalMilliseconds),
                Parameter.Of(rows.Min(static r => r.Attempt.AttemptId)),
                Parameter.Of(rows.Max(static r => r.Attempt.AttemptId)),
            },
        };
    }

    /// <summary>Writes down what each call is charged.</summary>
    public static NpgsqlBatchCommand BookRequests(IReadOnlyList<SettledCall> calls) => new(BookRequestsSql)
    {
        Parameters =
        {
            Parameter.Column(calls, static s => s.Call.Caller.TenantId),
            Parameter.Column(calls, static s => s.Call.RequestId),
            Parameter.Column(calls, static s => s.Call.Caller.Pseudonym),
            Parameter.Column(calls, static s => s.Call.Caller.ApiKeyId),
            Parameter.Column(calls, static s => s.Call.ConversationId),
            Parameter.Column(calls, static s => s.Call.Feature),
            Parameter.Column(calls, static s => s.Call.Caller.Entitlements.Tier),
            Parameter.Column(calls, static s => s.Call.Request.Model),
            Parameter.Column(calls, static s => s.Served?.Target.Target.Model.Id),
            Parameter.Column(calls, static s => s.Served?.Target.Target.Provider),
            Parameter.Column(calls, static s => s.Outcome),
            Parameter.Column(calls, static s => s.Call.Request.Stream),
            Parameter.Column(calls, static s => s.Call.Attempts.Count),
            Parameter.Column(calls, static s => Usage(s).Input),
            Parameter.Column(calls, static s => Usage(s).CachedInput),
            Parameter.Column(calls, static s => Usage(s).CacheWrite),
            Parameter.Column(calls, static s => Usage(s).Output),
            Parameter.Column(calls, static s => Usage(s).Reasoning),
            Parameter.Column(calls, static s => s.Call.Attempts.Sum(static a => a.Cost)),
            Parameter.Column(calls, static s => s.ChargedCost),
            Parameter.Column(calls, static s => s.Call.StartedAt.UtcDateTime),
            Parameter.Column(calls, static s => s.At.UtcDateTime),
            Parameter.Column(calls, static s => s.Latency.TotalMilliseconds),
        },
    };

    private static TokenUsage Usage(SettledCall settled) => settled.Served?.Usage ?? default;

    private static string Name(AttemptOutcome outcome) => outcome switch
    {
        AttemptOutcome.Succeeded => nameof(AttemptOutcome.Succeeded),
        AttemptOutcome.Failed => nameof(AttemptOutcome.Failed),
        AttemptOutcome.Refused => nameof(AttemptOutcome.Refused),
        AttemptOutcome.Aborted => nameof(AttemptOutcome.Aborted),
        _ => throw new InvalidOperationException($"An attempt cannot be closed as {outcome}."),
    };

    private static string Name(UsageSource source) => source switch
    {
        UsageSource.Provider => nameof(UsageSource.Provider),
        UsageSource.Delivered => nameof(UsageSource.Delivered),
        _ => nameof(UsageSource.Estimate),
    };
}
