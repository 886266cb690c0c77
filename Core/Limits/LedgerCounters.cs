using AiAspire.Core.Data;
using Npgsql;

namespace AiAspire.Core.Limits;

/// <summary>Sums the ledger of all tenants by two functions of the database, since no session sees more than one.</summary>
internal sealed class LedgerCounters(TenantSessions sessions) : ILedgerCounters
{
    public async Task<Dictionary<string, LedgerCounter>> SumAsync(DateTimeOffset until, CancellationToken cancellationToken)
    {
        var budgets = new List<Budget>();
        await sessions.CallFunctionAsync(
            "SELECT tenant_id, budget_id, scope, selector, unit, period FROM aiaspire.list_budgets()",
            row => budgets.Add(new Budget
            {
                TenantId = row.GetGuid(0),
                BudgetId = row.GetGuid(1),
                Name = "",
                Scope = Enum.Parse<BudgetScope>(row.GetString(2)),
                Selector = row.IsDBNull(3) ? null : row.GetString(3),
                Unit = Enum.Parse<BudgetUnit>(row.GetString(4)),
                Period = Enum.Parse<LimitPeriod>(row.GetString(5)),
                Limit = 0,
                ChangedAt = default,
            }),
            cancellationToken);

        // A minute's counters are not worth it: by the time they are built the minute is over.
        budgets.RemoveAll(b => b.Period == LimitPeriod.Minute);
        var since = budgets.Select(b => LimitWindows.Bounds(b.Period, until).Start).Append(LimitWindows.Bounds(LimitPeriod.Day, until).Start).Min();
        var counters = new Dictionary<string, LedgerCounter>(StringComparer.Ordinal);
        await sessions.CallFunctionAsync(
            "SELECT tenant_id, user_pseudonym, feature, tier, hour, tokens, charged, provider FROM aiaspire.limit_use($1, $2)",
            row => Add(counters, budgets, until, Use.Read(row)),
            cancellationToken,
            Parameter.Of(since.UtcDateTime),
            Parameter.Of(until.UtcDateTime));
        return counters;
    }

    private static void Add(Dictionary<string, LedgerCounter> counters, List<Budget> budgets, DateTimeOffset until, Use use)
    {
        AddTo(LimitPeriod.Day, LimitWindows.UserKey(use.TenantId, use.Pseudonym), use.Tokens);
        AddTo(LimitPeriod.Day, LimitWindows.TenantKey(use.TenantId), use.Tokens);
        foreach (var budget in budgets)
        {
            if (!budget.Holds(use.TenantId, use.Feature, use.Tier))
                continue;
            AddTo(budget.Period, budget.KeyOf(use.TenantId, use.Pseudonym), budget.CounterUnit switch
            {
                LimitUnit.Tokens => use.Tokens,
                LimitUnit.ChargedCost => use.Charged,
                _ => use.Provider,
            });
        }

        void AddTo(LimitPeriod period, string key, long amount)
        {
            var (counter, ends) = LimitWindows.In(period, key, until);
            if (use.Hour < LimitWindows.Bounds(period, until).Start || amount == 0)
                return;
            counters[counter] = new LedgerCounter(counters.GetValueOrDefault(counter).Amount + amount, ends);
        }
    }

    private readonly record struct Use(
        Guid TenantId, Guid Pseudonym, string Feature, string Tier, DateTimeOffset Hour, long Tokens, long Charged, long Provider)
    {
        public static Use Read(NpgsqlDataReader row) => new(
            row.GetGuid(0), row.GetGuid(1), row.GetString(2), row.GetString(3), row.GetFieldValue<DateTimeOffset>(4), row.GetInt64(5), row.GetInt64(6), row.GetInt64(7));
    }
}
