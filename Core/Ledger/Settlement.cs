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
/// <param name="Charged">False for what will be done again: what it cost is ours.</param>
public sealed record SettledCall(ChatCall Call, string Outcome, DateTimeOffset At, TimeSpan Latency, bool Charged = true)
{
    /// <summary>US dollars. A request is charged for the attempt that served it; what failed attempts cost is ours.</summary>
    public decimal ChargedCost => Served?.Cost ?? 0;

    /// <summary>The attempt that served, if one did.</summary>
    public Attempt? Served { get; } = Charged ? Call.Served : null;

    /// <summary>The model that answered, now or when the cache took its reply; null when none did.</summary>
    public string? Model => Served?.Target.Target.Model.Id ?? Call.CacheHit?.Model;

    public string? Provider => Served?.Target.Target.Provider ?? Call.CacheHit?.Provider;
}

/// <summary>The statements that close the books of calls, any number in each.</summary>
public static class Settlement
{
    // Settling twice changes nothing. What the reconciler closed at the estimate, because the call outlived its lease, gets its true
    // figures. The bounds keep it to the partitions of those attempts; told of the calls' rows too, they make PostgreSQL expect few of
    // those and look each up; and request_id lets either index find it. So the plan is right also while no statistics say how large the table is.
    public const string CloseAttemptsSql =
        """
        UPDATE aiaspire.ledger_attempts a SET
            outcome = s.outcome, status_code = s.status_code, error_code = s.error_code, usage_source = s.usage_source,
            input_tokens = s.input, cached_input_tokens = s.cached, cache_write_tokens = s.cache_write, output_tokens = s.output,
            reasoning_tokens = s.reasoning, provider_cost = s.cost, provider_request_id = s.provider_request_id, settled_at = s.settled_at,
            latency_ms = s.latency_ms, first_token_ms = s.first_token_ms
        FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
            AS s(tenant_id, attempt_id, outcome, status_code, error_code, usage_source, input, cached, cache_write, output, reasoning,
                 cost, provider_request_id, settled_at, latency_ms, first_token_ms, request_id)
        WHERE a.tenant_id = s.tenant_id AND a.attempt_id = s.attempt_id AND a.request_id = s.request_id AND a.outcome IN ('Open', 'Abandoned')
            AND a.attempt_id BETWEEN $18 AND $19 AND s.attempt_id BETWEEN $18 AND $19
        """;

    private const string RequestColumns =
        """
        tenant_id, request_id, user_pseudonym, api_key_id, conversation_id, feature, tier, requested_model, model, provider, outcome, stream,
        attempts, input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, provider_cost, charged_cost,
        cache_hit, saved_cost, started_at, finished_at, latency_ms
        """;

    private const string Booked =
        $"""
        unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25)
            AS b({RequestColumns})
        """;

    // A row that stands already is this call's own, from a commit whose answer was lost; or it is the reconciler's, and was corrected before.
    private const string BookRequestsSql = $"INSERT INTO aiaspire.ledger_requests ({RequestColumns}) SELECT * FROM {Booked} ON CONFLICT DO NOTHING";

    // What the reconciler took for abandoned gets the true figures. No ON CONFLICT DO UPDATE: what it takes from the new row counts as
    // read, and the ledger role reads nothing. The attempts were closed before, so the reconciler cannot come in between.
    public const string CorrectRequestsSql =
        $"""
        UPDATE aiaspire.ledger_requests r SET
            api_key_id = b.api_key_id, conversation_id = b.conversation_id, requested_model = b.requested_model, model = b.model,
            provider = b.provider, outcome = b.outcome, stream = b.stream, attempts = b.attempts, input_tokens = b.input_tokens,
            cached_input_tokens = b.cached_input_tokens, cache_write_tokens = b.cache_write_tokens, output_tokens = b.output_tokens,
            reasoning_tokens = b.reasoning_tokens, provider_cost = b.provider_cost, charged_cost = b.charged_cost, started_at = b.started_at,
            finished_at = b.finished_at, latency_ms = b.latency_ms
        FROM {Booked}
        WHERE r.tenant_id = b.tenant_id AND r.request_id = b.request_id AND r.outcome = 'abandoned'
            AND r.request_id BETWEEN $26 AND $27 AND b.request_id BETWEEN $26 AND $27
        """;

    /// <summary>Closes every attempt of the calls; null when they had none.</summary>
    public static NpgsqlBatchCommand? CloseAttempts(IReadOnlyList<SettledCall> calls)
    {
        var rows = new List<(SettledCall Settled, Attempt Attempt)>(calls.Count);
        foreach (var settled in calls)
        {
            foreach (var attempt in settled.Call.Attempts)
                rows.Add((settled, attempt));
        }

        // All of them answered from the cache.
        if (rows.Count == 0)
            return null;
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
                Parameter.Column(rows, static r => r.Settled.Call.RequestId),
                Parameter.Of(rows.Min(static r => r.Attempt.AttemptId)),
                Parameter.Of(rows.Max(static r => r.Attempt.AttemptId)),
            },
        };
    }

    /// <summary>Writes down what each call is charged.</summary>
    public static IEnumerable<NpgsqlBatchCommand> BookRequests(IReadOnlyList<SettledCall> calls)
    {
        SettledCall[] late = [.. calls.Where(static s => s.Call.MayBeAbandoned)];
        if (late.Length > 0)
        {
            var correct = WithRequests(CorrectRequestsSql, late);
            correct.Parameters.Add(Parameter.Of(late.Min(static s => s.Call.RequestId)));
            correct.Parameters.Add(Parameter.Of(late.Max(static s => s.Call.RequestId)));
            yield return correct;
        }

        yield return WithRequests(BookRequestsSql, calls);
    }

    private static NpgsqlBatchCommand WithRequests(string sql, IReadOnlyList<SettledCall> calls) => new(sql)
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
            Parameter.Column(calls, static s => s.Model),
            Parameter.Column(calls, static s => s.Provider),
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
            Parameter.Column(calls, static s => s.Call.CacheHit is not null),
            Parameter.Column(calls, static s => s.Call.SavedCost),
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
        UsageSource.Disputed => nameof(UsageSource.Disputed),
        _ => nameof(UsageSource.Estimate),
    };
}
