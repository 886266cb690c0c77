using System.Collections.Concurrent;
using System.Text.Json.Nodes;
using System.Threading.Channels;
using AiAspire.Core.Audit;
using AiAspire.Core.Data;
using AiAspire.Core.Notifications;
using AiAspire.Core.Rollouts;
using AiAspire.Core.Wire;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace AiAspire.Core.Limits;

/// <summary>
/// What follows when a budget nears its end or is used up, away from the calls that notice: a warning, once in a period, and for budgets
/// that say so a switch that only a person releases.
/// </summary>
public sealed partial class BudgetAlarms(
    KillSwitches switches, TenantSessions sessions, NotificationOutbox outbox, TimeProvider time, ILogger<BudgetAlarms> logger) : BackgroundService
{
    private const int MostWaiting = 1_000;
    private static readonly TimeSpan LeastPause = TimeSpan.FromSeconds(5);

    // Full means that the same alarms come in faster than they are seen to: none of those that matter is lost by dropping.
    private readonly Channel<Alarm> _alarms = Channel.CreateBounded<Alarm>(new BoundedChannelOptions(MostWaiting) { FullMode = BoundedChannelFullMode.DropWrite });
    private readonly ConcurrentDictionary<string, DateTimeOffset> _said = new(StringComparer.Ordinal);

    /// <summary>A budget's soft limit is reached.</summary>
    internal void Warn(LimitWindow window, long committed)
    {
        if (_said.TryAdd(window.Key, window.Ends))
            _alarms.Writer.TryWrite(new Warning(window, committed));
    }

    /// <summary>A budget has refused a call.</summary>
    internal void Refused(LimitWindow window, ChatCall call)
    {
        var budget = window.Budget!;
        if (_said.TryAdd(window.Key + ":hard", window.Ends))
            _alarms.Writer.TryWrite(new UsedUp(window));
        if (budget.Action != BudgetAction.Trip)
            return;
        var (kind, name) = budget.Scope switch
        {
            BudgetScope.Feature => (SwitchKind.Feature, budget.Selector),
            BudgetScope.Tenant => (SwitchKind.Tenant, call.Caller.TenantId.ToString()),
            _ => (SwitchKind.Service, null),
        };
        _alarms.Writer.TryWrite(new Tripped(budget, kind, name, time.GetUtcNow()));
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        await foreach (var alarm in _alarms.Reader.ReadAllAsync(stoppingToken))
        {
            try
            {
                await (alarm switch
                {
                    Tripped tripped => SwitchOffAsync(tripped, stoppingToken),
                    Warning warning => WarnAsync(warning, stoppingToken),
                    UsedUp used => TellUsedUpAsync(used, stoppingToken),
                    _ => Task.CompletedTask,
                });
            }
            catch (Exception e) when (e is not OperationCanceledException)
            {
                // The next call that meets the budget raises it again.
                LogFailed(logger, e);
                if (alarm is Warning warning)
                    _said.TryRemove(warning.Window.Key, out _);
                else if (alarm is UsedUp used)
                    _said.TryRemove(used.Window.Key + ":hard", out _);
            }

            DropEnded();
        }
    }

    private async Task WarnAsync(Warning warning, CancellationToken cancellationToken)
    {
        var (window, budget) = (warning.Window, warning.Window.Budget!);
        LogSoft(logger, window.Name, budget.BudgetId, window.Say(warning.Committed), window.Say(window.Limit));
        await TellAsync(
            window,
            "soft",
            NotificationTopics.Budget,
            $"Budget {window.Name} has reached {budget.SoftPercent} %",
            $"{window.Say(warning.Committed)} of {window.Say(window.Limit)} are used or reserved. Calls beyond the limit are refused until {window.Ends:u}.",
            cancellationToken);
    }

    private Task TellUsedUpAsync(UsedUp used, CancellationToken cancellationToken) => TellAsync(
        used.Window,
        "hard",
        NotificationTopics.Limit,
        $"Budget {used.Window.Name} is used up",
        used.Window.Budget!.Action == BudgetAction.Trip
            ? $"The limit is {used.Window.Say(used.Window.Limit)}. What it adds up is switched off until a person switches it on."
            : $"The limit is {used.Window.Say(used.Window.Limit)}. Calls are refused until {used.Window.Ends:u}.",
        cancellationToken);

    /// <summary>Whose budget it is is told, once for each counter and period, whatever the replica.</summary>
    private Task TellAsync(LimitWindow window, string what, string topic, string subject, string text, CancellationToken cancellationToken)
    {
        var budget = window.Budget!;
        var isPlatforms = budget.TenantId == TenantScope.PlatformTenantId;
        var scope = isPlatforms ? TenantScope.Platform : new TenantScope(budget.TenantId, null, DataReach.Service);
        var draft = new NotificationDraft($"budget:{window.Key}:{what}", topic, subject, text)
        {
            Data = new JsonObject { ["budget"] = budget.Name, ["scope"] = budget.Scope.ToString(), ["selector"] = budget.Selector, ["period_ends"] = window.Ends.ToString("O") },
            // What is switched off for everybody is worth waking somebody.
            Page = isPlatforms && what == "hard" && budget.Action == BudgetAction.Trip,
        };
        return sessions.Open(scope).RunAsync((db, token) => outbox.SendAsync(db, draft, token), cancellationToken);
    }

    private async Task SwitchOffAsync(Tripped tripped, CancellationToken cancellationToken)
    {
        var scope = KillSwitch.ScopeOf(tripped.Kind, tripped.Name);
        // Engaged already; or switched by a person since the call was refused, who knows better than a refusal of before.
        if ((await switches.ListAsync(cancellationToken)).Any(s => s.Scope == scope && (s.Engaged || s.ChangedAt >= tripped.At)))
            return;
        var entry = new AuditEvent(time.NewId(), AuditActor.System, AuditActions.KillSwitchChanged)
        {
            TargetKind = "kill_switch",
            TargetId = scope,
            Details = new JsonObject { ["engaged"] = true, ["budget_id"] = tripped.Budget.BudgetId.ToString() },
        };
        await switches.SetAsync(
            tripped.Kind, tripped.Name, engaged: true, $"the budget {tripped.Budget.Name} is used up", until: null, $"budget {tripped.Budget.BudgetId}", entry, cancellationToken);
        LogTripped(logger, tripped.Budget.Name, scope);
    }

    private void DropEnded()
    {
        var now = time.GetUtcNow();
        foreach (var (key, ends) in _said)
        {
            if (ends + LeastPause < now)
                _said.TryRemove(key, out _);
        }
    }

    private abstract record Alarm;

    private sealed record Warning(LimitWindow Window, long Committed) : Alarm;

    private sealed record UsedUp(LimitWindow Window) : Alarm;

    private sealed record Tripped(Budget Budget, SwitchKind Kind, string? Name, DateTimeOffset At) : Alarm;

    [LoggerMessage(Level = LogLevel.Warning, Message = "Budget {Budget} ({BudgetId}) has reached its soft limit: {Committed} of {Limit}")]
    private static partial void LogSoft(ILogger logger, string budget, Guid budgetId, string committed, string limit);

    [LoggerMessage(Level = LogLevel.Critical, Message = "Budget {Budget} is used up: {Scope} is switched off until a person switches it on")]
    private static partial void LogTripped(ILogger logger, string budget, string scope);

    [LoggerMessage(Level = LogLevel.Error, Message = "An alarm of a budget could not be seen to")]
    private static partial void LogFailed(ILogger logger, Exception exception);
}
