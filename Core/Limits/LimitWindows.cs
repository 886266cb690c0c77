using System.Globalization;
using AiAspire.Core.Tenancy;

namespace AiAspire.Core.Limits;

/// <summary>What a window counts.</summary>
public enum LimitUnit
{
    Tokens,

    /// <summary>Billionths of a US dollar, as exact as the ledger.</summary>
    NanoDollars,
}

/// <summary>A counter that starts anew with each period of UTC time.</summary>
/// <param name="Name">As told to the caller.</param>
/// <param name="Key">The Redis key of this period.</param>
/// <param name="Unit">What it counts.</param>
/// <param name="Limit">How much is allowed in the period; at most 9·10¹⁵, the whole numbers that Lua keeps exact.</param>
/// <param name="Ends">When the next period begins.</param>
public sealed record LimitWindow(string Name, string Key, LimitUnit Unit, long Limit, DateTimeOffset Ends)
{
    /// <summary>Kept a while after its end: a call that began in this period is settled in it.</summary>
    private static readonly TimeSpan Afterlife = TimeSpan.FromHours(1);

    public TimeSpan TimeToLive(DateTimeOffset now) => Ends - now + Afterlife;
}

internal static class LimitWindows
{
    private static readonly TimeSpan Minute = TimeSpan.FromMinutes(1);
    private static readonly TimeSpan Day = TimeSpan.FromDays(1);

    /// <summary>The windows that a call of this caller must pass, all of them.</summary>
    public static List<LimitWindow> For(Caller caller, DateTimeOffset now)
    {
        var limits = caller.Entitlements;
        var windows = new List<LimitWindow>(3);
        if (limits.UserTokensPerDay is { } userDay)
            windows.Add(Window("user_tokens_per_day", $"{caller.TenantId:N}:u:{caller.UserId:N}:d", Day, userDay, now));
        if (limits.TenantTokensPerDay is { } tenantDay)
            windows.Add(Window("tenant_tokens_per_day", $"{caller.TenantId:N}:d", Day, tenantDay, now));
        if (limits.TenantTokensPerMinute is { } tenantMinute)
            windows.Add(Window("tenant_tokens_per_minute", $"{caller.TenantId:N}:m", Minute, tenantMinute, now));
        return windows;
    }

    private static LimitWindow Window(string name, string key, TimeSpan period, long limit, DateTimeOffset now)
    {
        var start = new DateTimeOffset(now.UtcTicks - (now.UtcTicks % period.Ticks), TimeSpan.Zero);
        return new LimitWindow(name, $"aia:lim:{key}:{start.ToString("yyyyMMddHHmm", CultureInfo.InvariantCulture)}", LimitUnit.Tokens, limit, start + period);
    }
}
