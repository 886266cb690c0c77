using System.Runtime.CompilerServices;
using AiAspire.Core.Data;
using AiAspire.Core.Ledger;
using AiAspire.Core.Models;
using AiAspire.Core.Wire;
using Microsoft.Extensions.DependencyInjection;

namespace AiAspire.Core.Limits;

/// <summary>Reserves what a call may use before the provider is called, caps the output at what was granted, and settles on every exit.</summary>
public sealed class LimitStep(LimitGuard guard, BudgetBook budgets, BudgetAlarms alarms, TimeProvider time) : IChatStep
{
    /// <summary>An answer shorter than this is of no use; with less left the call is refused.</summary>
    private const int LeastOutput = 16;

    public async IAsyncEnumerable<ChatEvent> InvokeAsync(ChatCall call, ChatNext next, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var free = IsFree(call);
        var windows = LimitWindows.For(call.Caller, call.Feature, await budgets.OfAsync(call.Caller.TenantId, cancellationToken), call.StartedAt, free);
        var demand = Demand(call);
        var reservation = await ReserveAsync(call, windows, demand, cancellationToken);
        try
        {
            await foreach (var reply in next(call, cancellationToken))
                yield return reply;
        }
        finally
        {
            call.EndedAt ??= Latest(time.GetUtcNow(), reservation.CountedFrom);
            // Not counted here: what the caller pays is known when the books are closed.
            // What the reconciler may have counted as abandoned cannot be told from here: the ledger knows, whose books are closed by now.
            call.CountUse = (charged, billed) => call.MayBeAbandoned && billed.Count > 0 && windows.Count > 0
                ? guard.RebuildAsync(call.RequestId)
                : SettleAsync(call, windows, demand, Use(call, charged, billed, free));
        }
    }

    /// <summary>
    /// A check of content that costs nothing. What has used up a budget or a day's tokens must not be what stops it: the content would
    /// go unchecked. Rates still hold.
    /// </summary>
    private static bool IsFree(ChatCall call) => call.Request.Kind == ModelKind.Moderation && call.Route.All(static t => t.Price.IsFree);

    /// <summary>At the dearest target's price, since any of them may come to serve.</summary>
    private static CallDemand Demand(ChatCall call)
    {
        var (input, output) = (0m, 0m);
        foreach (var target in call.Route)
        {
            var dearest = target.Price.Dearest(call.EstimatedInput);
            (input, output) = (Math.Max(input, dearest.Input), Math.Max(output, dearest.Output));
        }

        var choices = call.Request.Choices;
        return new CallDemand(
            call.EstimatedInput,
            (long)call.OutputCap * choices,
            Math.Min(LeastOutput, call.OutputCap) * choices,
            PerMillion(call.EstimatedInput * input),
            PerMillion(output));

        // Of dollars for a million tokens; rounded up, so that a reservation is never short of the charge.
        static long PerMillion(decimal perMillion) => (long)Math.Ceiling(perMillion * 1_000m);
    }

    private async Task<Reservation> ReserveAsync(ChatCall call, List<LimitWindow> windows, CallDemand demand, CancellationToken cancellationToken)
    {
        Reservation? granted;
        LimitRefusal? refused;
        try
        {
            (granted, refused) = await guard.ReserveAsync(call.RequestId, windows, demand, cancellationToken);
        }
        catch (CountersAwayException)
        {
            // Without counters no limit holds: spending is refused rather than unbounded.
            throw new WireException(503, "server_error", "limits_unavailable", "Limits cannot be checked at the moment. Try again shortly.") { RetryAfter = TimeSpan.FromSeconds(2) };
        }

        if (refused is not null)
            throw Refuse(call, refused);
        call.OutputCap = (int)(granted!.GrantedOutput / call.Request.Choices);
        if (granted.Tightest is { } tightest)
            call.Limit = State(tightest.Window, tightest.Remaining);
        return granted;
    }

    private static DateTimeOffset Latest(DateTimeOffset one, DateTimeOffset other) => one > other ? one : other;

    private WireException Refuse(ChatCall call, LimitRefusal refusal)
    {
        var window = refusal.Window;
        var left = Math.Max(0, window.Limit - refusal.Committed);
        if (window.Unit == LimitUnit.Tokens)
            call.Limit = State(window, left);
        if (window.Budget is not null)
            alarms.Refused(window, call);
        var wait = window.Ends - time.GetUtcNow();
        var needs = window.Unit == LimitUnit.Tokens ? $"about {call.EstimatedInput} tokens for its input alone"
            : call.OutputCap > 0 ? "more for its input and a short answer" : "more for its input";
        return new WireException(
            429,
            // As OpenAI has it: a rate passes, a quota is a matter of money.
            window.Unit == LimitUnit.Tokens ? "rate_limit_error" : "insufficient_quota",
            window.Unit == LimitUnit.Tokens ? "rate_limit_exceeded" : "insufficient_quota",
            $"The limit {window.Name} of {window.Say(window.Limit)} leaves {window.Say(left)} ({window.Say(refusal.Committed)} used or reserved by calls in progress); this request needs {needs}. It frees at {window.Ends:u}.")
        {
            RetryAfter = wait,
            // Retrying before a daily limit frees only burns requests.
            ShouldRetry = wait < TimeSpan.FromMinutes(2),
        };
    }

    private LimitState State(LimitWindow window, long remaining) => new(window.Name, window.Limit, remaining, window.Ends - time.GetUtcNow());

    private static CallUse Use(ChatCall call, Attempt? charged, IReadOnlyCollection<Attempt> billed, bool free)
    {
        // The ledger has no tokens of what is free; of the rates alone it takes what it was estimated at.
        var tokens = free && charged is not null ? call.EstimatedInput : charged?.Usage.Total ?? 0;
        return new CallUse(tokens, NanoDollars(charged?.Cost ?? 0), NanoDollars(billed.Sum(static a => a.Cost)));
    }

    /// <summary>As PostgreSQL rounds to the ledger's nine places, so that counters and ledger are equal.</summary>
    internal static long NanoDollars(decimal dollars) => (long)Math.Round(dollars * 1_000_000_000m, MidpointRounding.AwayFromZero);

    private async Task SettleAsync(ChatCall call, List<LimitWindow> windows, CallDemand demand, CallUse used)
    {
        var counters = await guard.SettleAsync(call.RequestId, windows, demand, used, call.EndedAt!.Value);
        for (var i = 0; i < counters.Count; i++)
        {
            if (windows[i].Budget is { SoftPercent: { } percent } && counters[i] >= windows[i].Limit / 100m * percent)
                alarms.Warn(windows[i], counters[i]);
        }
    }
}

public static class LimitsRegistration
{
    public static IServiceCollection AddLimits(this IServiceCollection services)
    {
        services.AddOptions<LimitsOptions>()
            .BindConfiguration(LimitsOptions.Section, binder => binder.ErrorOnUnknownConfiguration = true)
            .ValidateDataAnnotations()
            .ValidateOnStart();
        services.AddSingleton<ILedgerCounters, LedgerCounters>();
        services.AddSingleton<CounterGenerations>().AddHostedService(provider => provider.GetRequiredService<CounterGenerations>());
        services.AddSingleton<LimitCounters>();
        services.AddSingleton<LimitGuard>();
        services.AddSingleton<IAbandonedAttempts, AbandonedCounts>();
        services.AddSingleton<BudgetBook>();
        services.AddSingleton<BudgetAlarms>().AddHostedService(provider => provider.GetRequiredService<BudgetAlarms>());
        services.AddSingleton<LimitStep>();
        return services.AddChangeSubscription(BudgetBook.Topic, provider => provider.GetRequiredService<BudgetBook>().DropAsync);
    }
}
