using AiAspire.Core.Data;
using Npgsql;

namespace AiAspire.Core.Ledger;

/// <summary>By what usage is told apart.</summary>
public enum UsageDimension
{
    Tenant,
    Feature,
    Model,
    Provider,
    Tier,
}

/// <param name="Width"><c>1m</c>, <c>1h</c> or <c>1d</c> (UTC).</param>
/// <param name="From">Start of a bucket.</param>
/// <param name="Until">Start of the bucket after the last.</param>
public sealed record UsageQuery(string Width, DateTimeOffset From, DateTimeOffset Until, IReadOnlySet<UsageDimension> GroupBy);

/// <summary>Sums of one bucket and group; what is not grouped by is null.</summary>
public sealed record UsageSums(
    DateTimeOffset Bucket, Guid? TenantId, string? Feature, string? Model, string? Provider, string? Tier,
    long Requests, long FailedRequests, long AbortedRequests, long AbandonedRequests, long Attempts,
    long RateLimited, long ServerErrors, long Timeouts, long Refused, long OtherErrors,
    long InputTokens, long CachedInputTokens, long CacheWriteTokens, long OutputTokens, long ReasoningTokens,
    decimal ChargedCost, decimal ProviderCost, decimal EstimatedCost, decimal CacheSavings, decimal LatencyMs, long[] LatencyCounts);

/// <summary>What one user, by the pseudonym of the ledger, cost in a span of time.</summary>
public sealed record UserSpending(Guid TenantId, Guid Pseudonym, long Requests, long Tokens, decimal ChargedCost, decimal ProviderCost, DateTimeOffset LastAt);

/// <summary>Keeps and reads the roll-ups.</summary>
public sealed class UsageReports(TenantSessions sessions)
{
    private const string Columns =
        """
        bucket, tenant_id, feature, model, provider, tier, requests, failed_requests, aborted_requests, abandoned_requests, attempts,
        rate_limited, server_errors, timeouts, refused, other_errors, input_tokens, cached_input_tokens, cache_write_tokens, output_tokens,
        reasoning_tokens, charged_cost, provider_cost, estimated_cost, cache_savings, latency_ms, latency_counts
        """;

    private const string UserColumns = "tenant_id, user_pseudonym, requests, tokens, charged_cost, provider_cost, last_at";

    /// <summary>Brings the roll-ups up to now, an hour of the ledger per transaction. Any number may run; one does, the others leave.</summary>
    public async Task RollUpAsync(CancellationToken cancellationToken)
    {
        var behind = true;
        while (behind)
        {
            behind = false;
            await sessions.CallFunctionAsync("SELECT behind FROM aiaspire.roll_up_usage()", row => behind = row.GetBoolean(0), cancellationToken);
        }
    }

    /// <summary>The usage of the session's tenant.</summary>
    public static async Task<IReadOnlyList<UsageSums>> ReadAsync(TenantSession session, UsageQuery query, CancellationToken cancellationToken)
    {
        var rows = new List<UsageSums>();
        var statement = new NpgsqlBatchCommand($"SELECT {Columns} FROM aiaspire.usage_sums($1, $2, $3, $4)");
        foreach (var parameter in Parameters(query))
            statement.Parameters.Add(parameter);
        await session.QueryAsync(statement, row => rows.Add(Read(row)), cancellationToken);
        return rows;
    }

    /// <summary>The usage of all tenants.</summary>
    public async Task<IReadOnlyList<UsageSums>> ReadAllAsync(UsageQuery query, CancellationToken cancellationToken)
    {
        var rows = new List<UsageSums>();
        await sessions.CallFunctionAsync(
            $"SELECT {Columns} FROM aiaspire.usage_sums_of_all($1, $2, $3, $4)", row => rows.Add(Read(row)), cancellationToken, Parameters(query));
        return rows;
    }

    /// <summary>Who of the session's tenant cost most; read from the ledger itself.</summary>
    public static async Task<IReadOnlyList<UserSpending>> TopUsersAsync(
        TenantSession session, DateTimeOffset from, DateTimeOffset until, int limit, CancellationToken cancellationToken)
    {
        var rows = new List<UserSpending>();
        var statement = new NpgsqlBatchCommand($"SELECT {UserColumns} FROM aiaspire.top_users($1, $2, $3)")
        {
            Parameters = { Parameter.Of(from.UtcDateTime), Parameter.Of(until.UtcDateTime), Parameter.Of(limit) },
        };
        await session.QueryAsync(statement, row => rows.Add(ReadUser(row)), cancellationToken);
        return rows;
    }

    /// <summary>Who of all tenants cost most.</summary>
    public async Task<IReadOnlyList<UserSpending>> TopUsersOfAllAsync(DateTimeOffset from, DateTimeOffset until, int limit, CancellationToken cancellationToken)
    {
        var rows = new List<UserSpending>();
        await sessions.CallFunctionAsync(
            $"SELECT {UserColumns} FROM aiaspire.top_users_of_all($1, $2, $3)",
            row => rows.Add(ReadUser(row)),
            cancellationToken,
            Parameter.Of(from.UtcDateTime), Parameter.Of(until.UtcDateTime), Parameter.Of(limit));
        return rows;
    }

    private static NpgsqlParameter[] Parameters(UsageQuery query) =>
    [
        Parameter.Of(query.Width),
        Parameter.Of(query.From.UtcDateTime),
        Parameter.Of(query.Until.UtcDateTime),
        Parameter.Of(query.GroupBy.Select(d => d.ToString().ToLowerInvariant()).ToArray()),
    ];

    private static UsageSums Read(NpgsqlDataReader row)
    {
        var i = 0;
        return new UsageSums(
            row.GetFieldValue<DateTimeOffset>(i++),
            row.IsDBNull(i) ? Skip<Guid?>() : row.GetGuid(i++),
            Text(), Text(), Text(), Text(),
            Whole(), Whole(), Whole(), Whole(), Whole(), Whole(), Whole(), Whole(), Whole(), Whole(), Whole(), Whole(), Whole(), Whole(), Whole(),
            row.GetDecimal(i++), row.GetDecimal(i++), row.GetDecimal(i++), row.GetDecimal(i++), row.GetDecimal(i++),
            row.GetFieldValue<long[]>(i));

        string? Text() => row.IsDBNull(i) ? Skip<string?>() : row.GetString(i++);
        long Whole() => row.GetInt64(i++);
        T? Skip<T>()
        {
            i++;
            return default;
        }
    }

    private static UserSpending ReadUser(NpgsqlDataReader row) => new(
        row.GetGuid(0), row.GetGuid(1), row.GetInt64(2), row.GetInt64(3), row.GetDecimal(4), row.GetDecimal(5), row.GetFieldValue<DateTimeOffset>(6));
}
