using AiAspire.Core.Data;
using AiAspire.Core.Wire;
using Microsoft.Extensions.Options;
using Npgsql;

namespace AiAspire.Core.Ledger;

/// <summary>Writes down that a provider is about to be called.</summary>
public interface IOpenAttempts
{
    /// <summary>Returns when the attempt is committed. Not cancelled with the call: a row half known is worth nothing.</summary>
    Task OpenAsync(ChatCall call, Attempt attempt);

    /// <summary>Longer than any attempt may live; the reconciler takes what is older for abandoned.</summary>
    TimeSpan Lease => TimeSpan.FromMinutes(15);
}

/// <summary>Commits attempts as open before their provider is called; with whatever else the ledger waits for at that moment.</summary>
public sealed class OpenAttempts : IOpenAttempts
{
    private const string InsertSql =
        """
        INSERT INTO aiaspire.ledger_attempts
            (tenant_id, attempt_id, request_id, user_pseudonym, number, feature, tier, provider, model, upstream_model, price_id,
             outcome, estimated_input_tokens, reserved_output_tokens, opened_at, lease_until,
             input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, provider_cost)
        SELECT t, a, r, u, n, f, tier, p, m, um, price, 'Open', i, o, opened, lease, 0, 0, 0, 0, 0, 0
        FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
            AS rows(t, a, r, u, n, f, tier, p, m, um, price, i, o, opened, lease)
        ON CONFLICT DO NOTHING
        """;

    private readonly Func<Row, Task> _write;

    public OpenAttempts(LedgerRole ledger, IOptions<LedgerOptions> options)
    {
        Lease = TimeSpan.FromSeconds(options.Value.AttemptLeaseSeconds);
        _write = ledger.Writes<Row>(static rows => [Insert(rows)]);
    }

    public TimeSpan Lease { get; }

    public async Task OpenAsync(ChatCall call, Attempt attempt)
    {
        var row = new Row(call, attempt);
        try
        {
            await _write(row);
        }
        catch (NpgsqlException e) when (e.IsTransient)
        {
            // Once more: it may have failed for another's sake whose commit it shared, or be committed and the answer lost; then nothing is written.
            await _write(row);
        }
    }

    private static NpgsqlBatchCommand Insert(IReadOnlyList<Row> rows) => new(InsertSql)
    {
        Parameters =
        {
            Parameter.Column(rows, static r => r.Call.Caller.TenantId),
            Parameter.Column(rows, static r => r.Attempt.AttemptId),
            Parameter.Column(rows, static r => r.Call.RequestId),
            Parameter.Column(rows, static r => r.Call.Caller.Pseudonym),
            Parameter.Column(rows, static r => r.Attempt.Number),
            Parameter.Column(rows, static r => r.Call.Feature),
            Parameter.Column(rows, static r => r.Call.Caller.Entitlements.Tier),
            Parameter.Column(rows, static r => r.Attempt.Target.Target.Provider),
            Parameter.Column(rows, static r => r.Attempt.Target.Target.Model.Id),
            Parameter.Column(rows, static r => r.Attempt.Target.Target.UpstreamModel),
            Parameter.Column(rows, static r => r.Attempt.Target.Price.PriceId),
            Parameter.Column(rows, static r => r.Call.EstimatedInput),
            Parameter.Column(rows, static r => (long)r.Call.OutputCap * r.Call.Request.Choices),
            Parameter.Column(rows, static r => r.Attempt.OpenedAt.UtcDateTime),
            Parameter.Column(rows, static r => r.Attempt.LeaseUntil.UtcDateTime),
        },
    };

    private sealed record Row(ChatCall Call, Attempt Attempt);
}
