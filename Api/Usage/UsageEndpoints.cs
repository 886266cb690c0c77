using AiAspire.Api.Conversations;
using AiAspire.Api.Identity;
using AiAspire.Core.Data;
using AiAspire.Core.Ledger;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Mvc;

namespace AiAspire.Api.Usage;

internal static class UsageEndpoints
{
    private static readonly TimeSpan LongestSpan = TimeSpan.FromDays(7);
    private static readonly TimeSpan EstimatedOver = TimeSpan.FromDays(30);

    public static void MapUsage(this IEndpointRouteBuilder v1)
    {
        var own = v1.MapGroup("/usage").RequireAuthorization(Policies.TenantAdmin).WithTags("Usage");
        own.MapGet("/", OwnAsync).WithName("listUsage").WithSummary("Your tenant's usage in buckets of time, as JSON or CSV.");
        own.MapGet("/top-users", OwnTopUsersAsync).WithName("listTopUsers").WithSummary("Which of your users cost most in a span of at most seven days.");
        var all = v1.MapGroup("/admin/usage").RequireAuthorization(Policies.Operator).WithTags("Usage");
        all.MapGet("/", AllAsync).WithName("listAllUsage").WithSummary("The usage of all tenants in buckets of time, as JSON or CSV.");
        all.MapGet("/top-users", AllTopUsersAsync).WithName("listAllTopUsers").WithSummary("Which users of which tenants cost most in a span of at most seven days.");
        v1.MapGet("/admin/ledger/open", OpenAsync).RequireAuthorization(Policies.Operator).WithTags("Usage").WithName("retrieveOpenLedger")
            .WithSummary("Attempts that nobody has settled yet, and what they and the estimated ones may cost.");
    }

    private static Task<Results<Ok<UsagePage>, ContentHttpResult>> OwnAsync(
        HttpContext http, [AsParameters] UsageParameters parameters, TenantSession session, TimeProvider time, CancellationToken cancellationToken)
        => AnswerAsync(http, parameters, forOperators: false, query => UsageReports.ReadAsync(session, query, cancellationToken), time);

    private static Task<Results<Ok<UsagePage>, ContentHttpResult>> AllAsync(
        HttpContext http, [AsParameters] UsageParameters parameters, UsageReports reports, TimeProvider time, CancellationToken cancellationToken)
        => AnswerAsync(http, parameters, forOperators: true, query => reports.ReadAllAsync(query, cancellationToken), time);

    private static async Task<Results<Ok<UsagePage>, ContentHttpResult>> AnswerAsync(
        HttpContext http, UsageParameters parameters, bool forOperators, Func<UsageQuery, Task<IReadOnlyList<UsageSums>>> read, TimeProvider time)
    {
        _ = parameters;
        var request = UsageRequest.Read(http.Request, forOperators, time.GetUtcNow());
        var rows = await read(request.Query);
        if (request.Csv)
            return TypedResults.Text(UsageCsv.Write(request, rows, forOperators), "text/csv");
        var byBucket = rows.ToLookup(r => r.Bucket);
        var buckets = new List<UsageBucket>();
        for (var bucket = request.Query.From; bucket < request.Query.Until; bucket += request.Bucket)
        {
            buckets.Add(new UsageBucket(
                "bucket", bucket.ToUnixTimeSeconds(), (bucket + request.Bucket).ToUnixTimeSeconds(), [.. byBucket[bucket].Select(r => UsageResult.Of(r, forOperators))]));
        }

        return TypedResults.Ok(new UsagePage("page", buckets, request.NextPage is not null, request.NextPage));
    }

    private static async Task<Ok<ListResponse<TopUser>>> OwnTopUsersAsync(
        HttpContext http, [FromQuery(Name = "start_time")] string? startTime, [FromQuery(Name = "end_time")] string? endTime, int? limit,
        TenantSession session, TimeProvider time, CancellationToken cancellationToken)
    {
        _ = (startTime, endTime);
        var (from, until) = Span(http, time);
        var rows = await UsageReports.TopUsersAsync(session, from, until, Admin.Administration.Limit(limit), cancellationToken);
        return TypedResults.Ok(new ListResponse<TopUser>("list", [.. rows.Select(r => Response(r, forOperators: false))], HasMore: false));
    }

    private static async Task<Ok<ListResponse<TopUser>>> AllTopUsersAsync(
        HttpContext http, [FromQuery(Name = "start_time")] string? startTime, [FromQuery(Name = "end_time")] string? endTime, int? limit,
        UsageReports reports, TimeProvider time, CancellationToken cancellationToken)
    {
        _ = (startTime, endTime);
        var (from, until) = Span(http, time);
        var rows = await reports.TopUsersOfAllAsync(from, until, Admin.Administration.Limit(limit), cancellationToken);
        return TypedResults.Ok(new ListResponse<TopUser>("list", [.. rows.Select(r => Response(r, forOperators: true))], HasMore: false));
    }

    private static async Task<Ok<OpenLedgerResponse>> OpenAsync(
        int? limit, Reconciler reconciler, UsageReports reports, TimeProvider time, CancellationToken cancellationToken)
    {
        var open = await reconciler.ReadOpenAsync(Admin.Administration.Limit(limit), cancellationToken);
        var now = time.GetUtcNow();
        var today = new DateTimeOffset(now.UtcDateTime.Date, TimeSpan.Zero);
        var from = today - EstimatedOver;
        var sums = await reports.ReadAllAsync(new UsageQuery("1d", from, today.AddDays(1), new HashSet<UsageDimension>()), cancellationToken);
        return TypedResults.Ok(new OpenLedgerResponse(
            "ledger.open",
            open.Count,
            open.EstimatedCost,
            sums.Sum(s => s.EstimatedCost),
            from.ToUnixTimeSeconds(),
            [.. open.Oldest.Select(a => new OpenAttemptResponse(
                a.AttemptId, a.RequestId, a.TenantId, a.Feature, a.Tier, a.Provider, a.Model, a.OpenedAt, a.LeaseUntil, a.EstimatedCost))]));
    }

    /// <summary>The ledger itself is read, so the span is short; by default the last hour.</summary>
    private static (DateTimeOffset From, DateTimeOffset Until) Span(HttpContext http, TimeProvider time)
    {
        var until = UsageRequest.Time(http.Request.Query, "end_time") ?? time.GetUtcNow();
        var from = UsageRequest.Time(http.Request.Query, "start_time") ?? until.AddHours(-1);
        return from < until && until - from <= LongestSpan ? (from, until) : throw UsageRequest.Wrong("start_time", "before end_time, by at most seven days");
    }

    private static TopUser Response(UserSpending row, bool forOperators) => new(
        "usage.user", row.TenantId, row.Pseudonym, row.Requests, row.Tokens, row.ChargedCost, forOperators ? row.ProviderCost : null, row.LastAt);
}

/// <summary>Named here for the OpenAPI document; read, with errors that name the field, by <see cref="UsageRequest"/>.</summary>
/// <param name="StartTime">Unix seconds.</param>
/// <param name="EndTime">Unix seconds, exclusive; default: now.</param>
/// <param name="BucketWidth"><c>1m</c>, <c>1h</c> or <c>1d</c> (default), in UTC.</param>
/// <param name="GroupBy">Any of <c>feature</c>, <c>model</c>, <c>provider</c>, <c>tier</c>, and for operators <c>tenant</c>.</param>
/// <param name="Limit">Buckets in a page.</param>
/// <param name="Page">The <c>next_page</c> of the page before.</param>
/// <param name="Format"><c>json</c> or <c>csv</c>; default by <c>Accept</c>.</param>
public sealed record UsageParameters(
    [property: FromQuery(Name = "start_time")] string? StartTime,
    [property: FromQuery(Name = "end_time")] string? EndTime,
    [property: FromQuery(Name = "bucket_width")] string? BucketWidth,
    [property: FromQuery(Name = "group_by")] string[]? GroupBy,
    [property: FromQuery(Name = "limit")] string? Limit,
    [property: FromQuery(Name = "page")] string? Page,
    [property: FromQuery(Name = "format")] string? Format);
