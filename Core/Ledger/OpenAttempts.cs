using AiAspire.Core.Wire;
using Npgsql;
using NpgsqlTypes;

namespace AiAspire.Core.Ledger;

/// <summary>Writes down that a provider is about to be called.</summary>
public interface IOpenAttempts
{
    /// <summary>Returns when the attempt is committed. Not cancelled with the call: a row half known is worth nothing.</summary>
    Task OpenAsync(ChatCall call, Attempt attempt);
}

/// <summary>
/// Commits attempts as open before their provider is called. Attempts of all tenants that wait at the same moment go in one
/// statement and one commit, by the ledger role, which can insert and nothing else: under load the cost of a commit is shared.
/// </summary>
public sealed class OpenAttempts(NpgsqlDataSource ledger) : IOpenAttempts
{
    private const int MaxBatch = 500;
    private const string InsertSql =
        """
        INSERT INTO aiaspire.ledger_attempts
            (tenant_id, attempt_id, request_id, user_pseudonym, number, feature, tier, provider, model, upstream_model, price_id,
             outcome, estimated_input_tokens, reserved_output_tokens, opened_at, lease_until,
             input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, provider_cost)
        SELECT t, a, r, u, n, f, tier, p, m, um, price, 'Open', i, o, opened, lease, 0, 0, 0, 0, 0, 0
        FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
            AS rows(t, a, r, u, n, f, tier, p, m, um, price, i, o, opened, lease)
        """;

    private readonly Lock _lock = new();
    private List<Waiting> _waiting = [];
    private bool _writing;

    public Task OpenAsync(ChatCall call, Attempt attempt)
    {
        var waiting = new Waiting(call, attempt);
        lock (_lock)
        {
            _waiting.Add(waiting);
            if (_writing)
                return waiting.Done.Task;
            _writing = true;
        }

        // Whoever comes first writes for all that come while it writes; no timer, so a lone call is not held back.
        _ = WriteAsync();
        return waiting.Done.Task;
    }

    private async Task WriteAsync()
    {
        while (true)
        {
            List<Waiting> batch;
            lock (_lock)
            {
                if (_waiting.Count == 0)
                {
                    _writing = false;
                    return;
                }

                var count = Math.Min(_waiting.Count, MaxBatch);
                batch = _waiting.GetRange(0, count);
                _waiting = _waiting.GetRange(count, _waiting.Count - count);
            }

            try
            {
                await InsertAsync(batch);
                foreach (var waiting in batch)
                    waiting.Done.TrySetResult();
            }
            catch (Exception e)
            {
                foreach (var waiting in batch)
                    waiting.Done.TrySetException(e);
            }
        }
    }

    private async Task InsertAsync(List<Waiting> batch)
    {
        await using var command = ledger.CreateCommand(InsertSql);
        Column(w => w.Call.Caller.TenantId, NpgsqlDbType.Uuid);
        Column(w => w.Attempt.AttemptId, NpgsqlDbType.Uuid);
        Column(w => w.Call.RequestId, NpgsqlDbType.Uuid);
        Column(w => w.Call.Caller.Pseudonym, NpgsqlDbType.Uuid);
        Column(w => w.Attempt.Number, NpgsqlDbType.Integer);
        Column(w => w.Call.Feature, NpgsqlDbType.Text);
        Column(w => w.Call.Caller.Entitlements.Tier, NpgsqlDbType.Text);
        Column(w => w.Attempt.Target.Target.Provider, NpgsqlDbType.Text);
        Column(w => w.Attempt.Target.Target.Model.Id, NpgsqlDbType.Text);
        Column(w => w.Attempt.Target.Target.UpstreamModel, NpgsqlDbType.Text);
        Column(w => w.Attempt.Target.Price.PriceId, NpgsqlDbType.Uuid);
        Column(w => w.Call.EstimatedInput, NpgsqlDbType.Bigint);
        Column(w => (long)w.Call.OutputCap * w.Call.Request.Choices, NpgsqlDbType.Bigint);
        Column(w => w.Attempt.OpenedAt, NpgsqlDbType.TimestampTz);
        Column(w => w.Attempt.LeaseUntil, NpgsqlDbType.TimestampTz);
        await command.ExecuteNonQueryAsync();

        void Column<T>(Func<Waiting, T> value, NpgsqlDbType type) => command.Parameters.Add(new NpgsqlParameter<T[]>
        {
            NpgsqlDbType = NpgsqlDbType.Array | type,
            TypedValue = [.. batch.Select(value)],
        });
    }

    private sealed record Waiting(ChatCall Call, Attempt Attempt)
    {
        public TaskCompletionSource Done { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }
}
