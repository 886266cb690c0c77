using System.Diagnostics;
using System.Diagnostics.Metrics;
using AiAspire.Core.Data;
using Microsoft.Extensions.Logging;

namespace AiAspire.Core.Ledger;

/// <summary>An attempt that was never settled, with what it may cost at most.</summary>
public sealed record OpenAttempt(
    Guid TenantId, Guid AttemptId, Guid RequestId, string Feature, string Tier, string Provider, string Model, DateTimeOffset OpenedAt, DateTimeOffset LeaseUntil, decimal EstimatedCost);

/// <summary>An attempt that was closed at the estimate because its process died.</summary>
/// <param name="ClosedAt">When its request is booked to have ended; by this the limits' counters know whether the ledger has told them of it.</param>
public sealed record AbandonedAttempt(
    Guid TenantId, Guid RequestId, Guid AttemptId, Guid UserPseudonym, string Feature, string Tier, decimal Cost, DateTimeOffset OpenedAt, DateTimeOffset ClosedAt);

/// <summary>Is told of attempts that were closed for dead processes, so that what those held is freed and what they cost is counted. Never fails.</summary>
public interface IAbandonedAttempts
{
    Task CountAsync(IReadOnlyList<AbandonedAttempt> attempts, CancellationToken cancellationToken);
}

/// <summary>What is open: sums over all, and the oldest of them.</summary>
public sealed record OpenLedger(long Count, decimal EstimatedCost, IReadOnlyList<OpenAttempt> Oldest);

/// <summary>
/// Closes what dead processes left open, at the estimate: the input as estimated and all the output that was reserved. The rules stand
/// in <c>reconcile_attempts</c> (ledger.sql). It may run anywhere, any number at once, and be killed anywhere.
/// </summary>
public sealed partial class Reconciler
{
    public const string MeterName = "AiAspire.Ledger";
    private const int BatchSize = 500;

    private readonly TenantSessions _sessions;
    private readonly IAbandonedAttempts _counters;
    private readonly ILogger<Reconciler> _logger;
    private readonly Counter<long> _abandoned;
    private long _open;

    public Reconciler(TenantSessions sessions, IAbandonedAttempts counters, IMeterFactory meters, ILogger<Reconciler> logger)
    {
        (_sessions, _counters, _logger) = (sessions, counters, logger);
        var meter = meters.Create(MeterName);
        _abandoned = meter.CreateCounter<long>("ledger.abandoned_total", "{attempt}", "Attempts that were closed at the estimate because nobody settled them.");
        meter.CreateObservableGauge("ledger.open_attempts", () => Interlocked.Read(ref _open), "{attempt}", "Attempts that are open, as of this replica's last reconciliation.");
    }

    /// <returns>How many attempts were closed.</returns>
    public async Task<int> RunAsync(CancellationToken cancellationToken)
    {
        var closed = 0;
        int batch;
        do
        {
            batch = 0;
            var abandoned = new List<AbandonedAttempt>();
            await _sessions.CallFunctionAsync(
                "SELECT tenant_id, request_id, attempt_id, provider, model, provider_cost, user_pseudonym, feature, tier, opened_at, closed_at FROM aiaspire.reconcile_attempts($1)",
                row =>
                {
                    batch++;
                    var (provider, model) = (row.GetString(3), row.GetString(4));
                    abandoned.Add(new AbandonedAttempt(
                        row.GetGuid(0), row.GetGuid(1), row.GetGuid(2), row.GetGuid(6), row.GetString(7), row.GetString(8), row.GetDecimal(5), row.GetFieldValue<DateTimeOffset>(9),
                        row.GetFieldValue<DateTimeOffset>(10)));
                    _abandoned.Add(1, new TagList { { "provider", provider }, { "model", model } });
                    LogAbandoned(_logger, row.GetGuid(2), row.GetGuid(1), row.GetGuid(0), provider, model, row.GetDecimal(5));
                },
                cancellationToken,
                Parameter.Of(BatchSize));
            await _counters.CountAsync(abandoned, cancellationToken);
            closed += batch;
        }
        while (batch == BatchSize);
        Interlocked.Exchange(ref _open, (await ReadOpenAsync(1, cancellationToken)).Count);
        return closed;
    }

    /// <summary>What is open now, over all tenants.</summary>
    public async Task<OpenLedger> ReadOpenAsync(int limit, CancellationToken cancellationToken)
    {
        var (count, cost, oldest) = (0L, 0m, new List<OpenAttempt>());
        await _sessions.CallFunctionAsync(
            "SELECT tenant_id, attempt_id, request_id, feature, tier, provider, model, opened_at, lease_until, estimated_cost, all_count, all_cost FROM aiaspire.open_attempts($1)",
            row =>
            {
                oldest.Add(new OpenAttempt(
                    row.GetGuid(0), row.GetGuid(1), row.GetGuid(2), row.GetString(3), row.GetString(4), row.GetString(5), row.GetString(6),
                    row.GetFieldValue<DateTimeOffset>(7), row.GetFieldValue<DateTimeOffset>(8), row.GetDecimal(9)));
                (count, cost) = (row.GetInt64(10), row.GetDecimal(11));
            },
            cancellationToken,
            Parameter.Of(limit));
        return new OpenLedger(count, cost, oldest);
    }

    [LoggerMessage(
        Level = LogLevel.Warning,
        Message = "Attempt {Attempt} of request {RequestId} (tenant {Tenant}) at {Provider}/{Model} was abandoned; it is closed at the estimate of {CostUsd} USD")]
    private static partial void LogAbandoned(ILogger logger, Guid attempt, Guid requestId, Guid tenant, string provider, string model, decimal costUsd);
}
