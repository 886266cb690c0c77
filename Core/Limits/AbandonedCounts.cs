using AiAspire.Core.Ledger;
using Npgsql;

namespace AiAspire.Core.Limits;

/// <summary>
/// Has the counters follow the ledger where a process died: what its call had reserved is free at once, and what the attempt is taken to have
/// cost counts against the budgets of what providers bill. Should the call be alive after all, it has the counters
/// built anew when it ends.
/// </summary>
internal sealed class AbandonedCounts(LimitGuard guard, BudgetBook budgets) : IAbandonedAttempts
{
    public async Task CountAsync(IReadOnlyList<AbandonedAttempt> attempts, CancellationToken cancellationToken)
    {
        foreach (var attempt in attempts)
        {
            try
            {
                await CountAsync(attempt, cancellationToken);
            }
            catch (NpgsqlException e)
            {
                // The attempt is closed and will not be told of again.
                guard.FallBehind(attempt.RequestId, e);
            }
        }
    }

    private async Task CountAsync(AbandonedAttempt attempt, CancellationToken cancellationToken)
    {
        await guard.EndLeaseAsync(attempt.RequestId, cancellationToken);
        LimitWindow[] windows =
        [
            .. (await budgets.OfAsync(attempt.TenantId, cancellationToken))
                .Where(b => b.CounterUnit == LimitUnit.ProviderCost && b.Holds(attempt.TenantId, attempt.Feature, attempt.Tier))
                .Select(b => LimitWindows.Of(b, attempt.TenantId, attempt.UserPseudonym, attempt.OpenedAt)),
        ];
        // By the attempt's id, so that it counts once, and beside its request's own settlement.
        await guard.SettleAsync(attempt.AttemptId, windows, default, new CallUse(0, 0, LimitStep.NanoDollars(attempt.Cost)), attempt.ClosedAt);
    }
}
