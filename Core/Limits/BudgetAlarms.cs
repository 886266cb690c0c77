using System.Collections.Concurrent;
using System.Text.Json.Nodes;
using System.Threading.Channels;
using AiAspire.Core.Audit;
using AiAspire.Core.Data;
using AiAspire.Core.Rollouts;
using AiAspire.Core.Wire;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace AiAspire.Core.Limits;

/// <summary>
/// What follows when a budget nears its end or is used up, away from the calls that notice: a warning, once in a period, and for budgets
/// that say so a switch that only a person releases.
/// </summary>
public sealed partial class BudgetAlarms(KillSwitches switches, TimeProvider time, ILogger<BudgetAlarms> logger) : BackgroundService
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

    /// <summary>A budget that trips is used up.</summary>
    internal void Trip(Budget budget, ChatCall call)
    {
        var (kind, name) = budget.Scope switch
        {
            BudgetScope.Feature => (SwitchKind.Feature, budget.Selector),
            BudgetScope.Tenant => (SwitchKind.Tenant, call.Caller.TenantId.ToString()),
            _ => (SwitchKind.Service, null),
        };
        _alarms.Writer.TryWrite(new Tripped(budget, kind, name));
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
                    Warning warning => WarnAsync(warning),
                    _ => Task.CompletedTask,
                });
            }
            catch (Exception e) when (e is not OperationCanceledException)
            {
                // The next call that meets the budget raises it again.
                LogFailed(logger, e);
                if (alarm is Warning failed)
                    _said.TryRemove(failed.Window.Key, out _);
            }

            DropEnded();
        }
    }

    private Task WarnAsync(Warning warning)
    {
        LogSoft(logger, warning.Window.Name, warning.Window.Budget!.BudgetId, warning.Window.Say(warning.Committed), warning.Window.Say(warning.Window.Limit));
        return Task.CompletedTask;
    }

    private async Task SwitchOffAsync(Tripped tripped, CancellationToken cancellationToken)
    {
        var scope = KillSwitch.ScopeOf(tripped.Kind, tripped.Name);
        if ((await switches.ListAsync(cancellationToken)).Any(s => s.Scope == scope && s.Engaged))
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

    private sealed record Tripped(Budget Budget, SwitchKind Kind, string? Name) : Alarm;

    [LoggerMessage(Level = LogLevel.Warning, Message = "Budget {Budget} ({BudgetId}) has reached its soft limit: {Committed} of {Limit}")]
    private static partial void LogSoft(ILogger logger, string budget, Guid budgetId, string committed, string limit);

    [LoggerMessage(Level = LogLevel.Critical, Message = "Budget {Budget} is used up: {Scope} is switched off until a person switches it on")]
    private static partial void LogTripped(ILogger logger, string budget, string scope);

    [LoggerMessage(Level = LogLevel.Error, Message = "An alarm of a budget could not be seen to")]
    private static partial void LogFailed(ILogger logger, Exception exception);
}
