using System.Globalization;
using System.Text;
using AiAspire.Core.Ledger;

namespace AiAspire.Api.Usage;

/// <summary>Usage as a CSV file (RFC 4180), one line for each bucket and group that has any.</summary>
internal static class UsageCsv
{
    public static string Write(UsageRequest request, IEnumerable<UsageSums> rows, bool forOperators)
    {
        var text = new StringBuilder(
            "start_time,end_time,tenant_id,feature,model,provider,tier,requests,failed,aborted,abandoned,attempts,rate_limited,server_errors,timeouts,refused,other_errors,"
            + "input_tokens,cached_input_tokens,cache_write_tokens,output_tokens,reasoning_tokens,cost_usd,cache_savings_usd,p50_ms,p95_ms,p99_ms");
        text.Append(forOperators ? ",provider_cost_usd,estimated_cost_usd\r\n" : "\r\n");
        foreach (var row in rows)
        {
            string[] fields =
            [
                row.Bucket.ToString("yyyy-MM-ddTHH:mm:ssZ", CultureInfo.InvariantCulture), (row.Bucket + request.Bucket).ToString("yyyy-MM-ddTHH:mm:ssZ", CultureInfo.InvariantCulture),
                row.TenantId?.ToString() ?? "", Field(row.Feature), Field(row.Model), Field(row.Provider), Field(row.Tier),
                .. new[]
                {
                    row.Requests, row.FailedRequests, row.AbortedRequests, row.AbandonedRequests, row.Attempts, row.RateLimited, row.ServerErrors, row.Timeouts, row.Refused, row.OtherErrors,
                    row.InputTokens, row.CachedInputTokens, row.CacheWriteTokens, row.OutputTokens, row.ReasoningTokens,
                }.Select(n => n.ToString(CultureInfo.InvariantCulture)),
                Money(row.ChargedCost), Money(row.CacheSavings), Latency(row, 0.5), Latency(row, 0.95), Latency(row, 0.99),
            ];
            text.AppendJoin(',', fields);
            text.Append(forOperators ? $",{Money(row.ProviderCost)},{Money(row.EstimatedCost)}\r\n" : "\r\n");
        }

        return text.ToString();
    }

    /// <summary>Features are named by callers: what a spreadsheet would run as a formula is made text.</summary>
    private static string Field(string? value)
    {
        if (value is null or "")
            return "";
        if (value[0] is '=' or '+' or '-' or '@' or '\t' or '\r')
            value = "'" + value;
        return value.AsSpan().IndexOfAny(",\"\r\n") < 0 ? value : $"\"{value.Replace("\"", "\"\"", StringComparison.Ordinal)}\"";
    }

    private static string Money(decimal value) => value.ToString("0.#########", CultureInfo.InvariantCulture);

    private static string Latency(UsageSums row, double quantile)
        => UsageLatency.Quantile(row.LatencyCounts, quantile)?.ToString("0.#", CultureInfo.InvariantCulture) ?? "";
}
