using AiAspire.Core.Ledger;

namespace AiAspire.Api.Usage;

/// <param name="Data">One bucket after the other, those without usage too.</param>
/// <param name="NextPage">Give it back as <c>page</c>.</param>
public sealed record UsagePage(string Object, IReadOnlyList<UsageBucket> Data, bool HasMore, string? NextPage);

/// <param name="StartTime">Unix seconds.</param>
/// <param name="EndTime">Unix seconds, exclusive.</param>
public sealed record UsageBucket(string Object, long StartTime, long EndTime, IReadOnlyList<UsageResult> Results);

/// <summary>Sums of a group within a bucket. What was not grouped by is null.</summary>
/// <param name="InputTokens">All of them: uncached, cached and written to the provider's cache.</param>
/// <param name="Cost">US dollars that the tenant pays.</param>
/// <param name="ProviderCost">US dollars that the providers bill us; for operators only.</param>
/// <param name="EstimatedCost">The part of <paramref name="ProviderCost"/> that no provider confirmed; for operators only.</param>
/// <param name="Errors">Attempts that failed, by class.</param>
public sealed record UsageResult(
    string Object, Guid? TenantId, string? Feature, string? Model, string? Provider, string? Tier,
    long InputTokens, long InputCachedTokens, long InputCacheWriteTokens, long OutputTokens, long OutputReasoningTokens,
    long NumModelRequests, long NumFailedRequests, long NumAbortedRequests, long NumAbandonedRequests, long NumAttempts, UsageErrors Errors,
    decimal Cost, decimal CacheSavings, decimal? ProviderCost, decimal? EstimatedCost, UsageLatencies LatencyMs)
{
    internal static UsageResult Of(UsageSums sums, bool forOperators) => new(
        "usage.result", sums.TenantId, sums.Feature, sums.Model, sums.Provider, sums.Tier,
        sums.InputTokens + sums.CachedInputTokens + sums.CacheWriteTokens, sums.CachedInputTokens, sums.CacheWriteTokens, sums.OutputTokens, sums.ReasoningTokens,
        sums.Requests, sums.FailedRequests, sums.AbortedRequests, sums.AbandonedRequests, sums.Attempts,
        new UsageErrors(sums.RateLimited, sums.ServerErrors, sums.Timeouts, sums.Refused, sums.OtherErrors),
        sums.ChargedCost, sums.CacheSavings, forOperators ? sums.ProviderCost : null, forOperators ? sums.EstimatedCost : null,
        UsageLatencies.Of(sums));
}

public sealed record UsageErrors(long RateLimited, long ServerError, long Timeout, long Refused, long Other);

/// <summary>Milliseconds; quantiles are read off a histogram. Null without requests.</summary>
public sealed record UsageLatencies(double? Mean, double? P50, double? P95, double? P99)
{
    internal static UsageLatencies Of(UsageSums sums)
    {
        var counted = sums.LatencyCounts.Sum();
        return new UsageLatencies(
            counted == 0 ? null : (double)(sums.LatencyMs / counted),
            UsageLatency.Quantile(sums.LatencyCounts, 0.5),
            UsageLatency.Quantile(sums.LatencyCounts, 0.95),
            UsageLatency.Quantile(sums.LatencyCounts, 0.99));
    }
}

/// <param name="UserPseudonym">The user's stand-in in the ledger.</param>
public sealed record TopUser(string Object, Guid TenantId, Guid UserPseudonym, long NumModelRequests, long Tokens, decimal Cost, decimal? ProviderCost, DateTimeOffset LastRequestAt);

public sealed record OpenLedgerResponse(
    string Object, long OpenAttempts, decimal OpenEstimatedCost, decimal EstimatedCost, long StartTime, IReadOnlyList<OpenAttemptResponse> Data);

public sealed record OpenAttemptResponse(
    Guid AttemptId, Guid RequestId, Guid TenantId, string Feature, string Tier, string Provider, string Model, DateTimeOffset OpenedAt, DateTimeOffset LeaseUntil, decimal EstimatedCost);
