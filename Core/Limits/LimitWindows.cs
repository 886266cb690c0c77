using System.Globalization;
using AiAspire.Core.Tenancy;

namespace AiAspire.Core.Limits;

/// <summary>What a window counts.</summary>
public enum LimitUnit
{
    Tokens,

    /// <summary>What the tenant is charged, in billionths of a US dollar: as exact as the ledger.</summary>
    ChargedCost,

    /// <summary>What the providers bill, attempts in vain included, in billionths of a US dollar.</summary>
    ProviderCost,
}

/// <summary>A counter that starts anew with each period of UTC time.</summary>
/// <param name="Name">As told to the caller.</param>
/// <param name="Key">The counter of this period.</param>
/// <param name="Unit">What it counts.</param>
/// <param name="Limit">How much is allowed in the period; at most 9·10¹⁵, the whole numbers that Lua keeps exact.</param>
/// <param name="Ends">When the next period begins.</param>
/// <param name="Budget">The budget behind it; null for the limits of a tier or plan.</param>
public sealed record LimitWindow(string Name, string Key, LimitUnit Unit, long Limit, DateTimeOffset Ends, Budget? Budget = null)
{
    /// <summary>Kept a while after its end: a call that began in this period is settled in it.</summary>
    private static readonly TimeSpan Afterlife = TimeSpan.FromHours(1);

    public TimeSpan TimeToLive(DateTimeOffset now) => Ends - now + Afterlife;

    /// <summary>An amount as people read it.</summary>
    public string Say(long amount) => Unit == LimitUnit.Tokens
        ? string.Create(CultureInfo.InvariantCulture, $"{amount} tokens")
        : string.Create(CultureInfo.InvariantCulture, $"${amount / 1_000_000_000m:0.######}");
}

internal static class LimitWindows
{
    /// <summary>The windows that a call of this caller must pass, all of them; those of tokens come first.</summary>
    /// <param name="caller">Whose limits.</param>
    /// <param name="feature">What for.</param>
    /// <param name="budgets">All that may concern the caller.</param>
    /// <param name="now">When the call began.</param>
    /// <param name="ratesOnly">Of a call that costs nothing: only what limits the tokens of a minute.</param>
    public static List<LimitWindow> For(Caller caller, string feature, IReadOnlyList<Budget> budgets, DateTimeOffset now, bool ratesOnly = false)
    {
        var limits = caller.Entitlements;
        var windows = new List<LimitWindow>(3 + budgets.Count);
        if (!ratesOnly && limits.UserTokensPerDay is { } userDay)
            windows.Add(Window("user_tokens_per_day", UserKey(caller.TenantId, caller.Pseudonym), LimitUnit.Tokens, userDay, LimitPeriod.Day, now));
        if (!ratesOnly && limits.TenantTokensPerDay is { } tenantDay)
            windows.Add(Window("tenant_tokens_per_day", TenantKey(caller.TenantId), LimitUnit.Tokens, tenantDay, LimitPeriod.Day, now));
        if (limits.TenantTokensPerMinute is { } tenantMinute)
            windows.Add(Window("tenant_tokens_per_minute", TenantKey(caller.TenantId), LimitUnit.Tokens, tenantMinute, LimitPeriod.Minute, now));
        var tokenWindows = windows.Count;
        foreach (var budget in budgets)
        {
            if (!budget.Holds(caller.TenantId, feature, limits.Tier) || (ratesOnly && (budget.Unit, budget.Period) is not (BudgetUnit.Tokens, LimitPeriod.Minute)))
                continue;
            var window = Of(budget, caller.TenantId, caller.Pseudonym, now);
            if (window.Unit == LimitUnit.Tokens)
                windows.Insert(tokenWindows++, window);
            else
                windows.Add(window);
        }

        return windows;
    }

    /// <summary>A budget's window of the period that <paramref name="now"/> lies in.</summary>
    public static LimitWindow Of(Budget budget, Guid tenantId, Guid pseudonym, DateTimeOffset now)
        => Window(budget.Name, budget.KeyOf(tenantId, pseudonym), budget.CounterUnit, budget.CounterLimit, budget.Period, now, budget);

    public static string UserKey(Guid tenantId, Guid pseudonym) => $"{tenantId:N}:u:{pseudonym:N}";

    public static string TenantKey(Guid tenantId) => $"{tenantId:N}";

    /// <summary>The counter of the period that <paramref name="now"/> lies in, and that period's end.</summary>
    public static (string Key, DateTimeOffset Ends) In(LimitPeriod period, string key, DateTimeOffset now)
    {
        var (start, end) = Bounds(period, now);
        return (string.Create(CultureInfo.InvariantCulture, $"{key}:{Letter(period)}:{start:yyyyMMddHHmm}"), end);
    }

    public static (DateTimeOffset Start, DateTimeOffset End) Bounds(LimitPeriod period, DateTimeOffset now)
    {
        if (period == LimitPeriod.Month)
        {
            var utc = now.UtcDateTime;
            var month = new DateTimeOffset(utc.Year, utc.Month, 1, 0, 0, 0, TimeSpan.Zero);
            return (month, month.AddMonths(1));
        }

        var length = period switch
        {
            LimitPeriod.Minute => TimeSpan.TicksPerMinute,
            LimitPeriod.Hour => TimeSpan.TicksPerHour,
            _ => TimeSpan.TicksPerDay,
        };
        var start = new DateTimeOffset(now.UtcTicks - (now.UtcTicks % length), TimeSpan.Zero);
        return (start, start.AddTicks(length));
    }

    private static LimitWindow Window(string name, string key, LimitUnit unit, long limit, LimitPeriod period, DateTimeOffset now, Budget? budget = null)
    {
        var (counter, ends) = In(period, key, now);
        return new LimitWindow(name, counter, unit, limit, ends, budget);
    }

    private static char Letter(LimitPeriod period) => period switch
    {
        LimitPeriod.Minute => 'm',
        LimitPeriod.Hour => 'h',
        LimitPeriod.Day => 'd',
        _ => 'M',
    };
}
