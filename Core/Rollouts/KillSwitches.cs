using System.Collections.Frozen;
using AiAspire.Core.Audit;
using AiAspire.Core.Data;
using AiAspire.Core.Wire;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Metadata.Builders;
using Microsoft.Extensions.DependencyInjection;

namespace AiAspire.Core.Rollouts;

/// <summary>What a switch stops.</summary>
public enum SwitchKind
{
    /// <summary>Everything.</summary>
    Service,

    /// <summary>The calls of one tenant, by its id.</summary>
    Tenant,

    /// <summary>One product feature.</summary>
    Feature,

    /// <summary>A model or alias as callers name it, or a model as a target of an alias.</summary>
    Model,

    /// <summary>A provider: calls go to the other targets, as long as there are some.</summary>
    Provider,
}

/// <summary>A switch that stops calls, for every tenant: all rows are the platform's.</summary>
public sealed class KillSwitch : ISharedByPlatform
{
    public required Guid TenantId { get; init; }

    /// <summary>What it stops: <c>service</c>, or kind and name as in <c>feature:summaries</c>.</summary>
    public required string Scope { get; init; }

    /// <summary>True: calls are refused.</summary>
    public required bool Engaged { get; set; }

    public string? Reason { get; set; }

    /// <summary>When it is expected to be released, for <c>Retry-After</c>; it is released by hand all the same.</summary>
    public DateTimeOffset? Until { get; set; }

    public required string ChangedBy { get; set; }

    public required DateTimeOffset ChangedAt { get; set; }

    /// <param name="kind">What it stops.</param>
    /// <param name="name">Which one; nothing for the service.</param>
    public static string ScopeOf(SwitchKind kind, string? name)
        => kind == SwitchKind.Service ? "service" : $"{kind.ToString().ToLowerInvariant()}:{name}";
}

public static class RolloutSets
{
    extension(AiAspireDb db)
    {
        public DbSet<KillSwitch> KillSwitches => db.Set<KillSwitch>();
    }
}

internal sealed class KillSwitchModel : IEntityTypeConfiguration<KillSwitch>
{
    public void Configure(EntityTypeBuilder<KillSwitch> builder)
        => builder.ToTable("kill_switches").HasKey(s => new { s.TenantId, s.Scope });
}

/// <summary>The switches in force, held in memory on every replica; the change feed brings a change within a second.</summary>
public sealed class KillSwitches(TenantSessions sessions, TimeProvider time) : IDisposable
{
    public const string Topic = "kill_switches";

    // One after the other: what was read before a change must not be held after what was read behind it.
    private readonly SemaphoreSlim _refreshing = new(1, 1);
    private volatile Engagements _engaged = new([]);

    /// <summary>Switches off or on.</summary>
    /// <param name="kind">What it stops.</param>
    /// <param name="name">Which one; null for the service.</param>
    /// <param name="engaged">True: calls are refused.</param>
    /// <param name="reason">Told to callers.</param>
    /// <param name="until">When it is expected to end.</param>
    /// <param name="by">Who, for people.</param>
    /// <param name="entry">Committed to the platform's audit chain with the change.</param>
    /// <param name="cancellationToken">Cancels.</param>
    public async Task<KillSwitch> SetAsync(
        SwitchKind kind, string? name, bool engaged, string? reason, DateTimeOffset? until, string by, AuditEvent entry, CancellationToken cancellationToken)
    {
        var row = new KillSwitch
        {
            TenantId = TenantScope.PlatformTenantId,
            Scope = KillSwitch.ScopeOf(kind, name),
            Engaged = engaged,
            Reason = reason,
            Until = until,
            ChangedBy = by,
            ChangedAt = time.GetUtcNow(),
        };
        await sessions.Open(TenantScope.Platform).RunAsync(
            async (db, token) =>
            {
                // One statement, so that two who switch at once do not meet on the key.
                await db.Database.ExecuteSqlAsync(
                    $"""
                    INSERT INTO aiaspire.kill_switches (tenant_id, scope, engaged, reason, until, changed_by, changed_at)
                    VALUES ({row.TenantId}, {row.Scope}, {row.Engaged}, {row.Reason}, {row.Until}, {row.ChangedBy}, {row.ChangedAt})
                    ON CONFLICT (tenant_id, scope) DO UPDATE SET engaged = excluded.engaged, reason = excluded.reason, until = excluded.until,
                        changed_by = excluded.changed_by, changed_at = excluded.changed_at
                    """,
                    token);
                await db.NotifyChangedAsync(Topic, token);
                await db.AppendAuditAsync(entry, token);
            },
            cancellationToken);
        await RefreshAsync(cancellationToken);
        return row;
    }

    /// <summary>Every switch that was ever set, engaged or not.</summary>
    public async Task<IReadOnlyList<KillSwitch>> ListAsync(CancellationToken cancellationToken)
        => await sessions.Open(TenantScope.Platform).RunAsync(
            (db, token) => db.KillSwitches.AsNoTracking().OrderBy(s => s.Scope).ToListAsync(token), cancellationToken);

    public async Task RefreshAsync(CancellationToken cancellationToken)
    {
        await _refreshing.WaitAsync(cancellationToken);
        try
        {
            Hold(await ListAsync(cancellationToken));
        }
        finally
        {
            _refreshing.Release();
        }
    }

    public void Dispose() => _refreshing.Dispose();

    internal void Hold(IEnumerable<KillSwitch> rows) => _engaged = new Engagements(rows.Where(s => s.Engaged));

    /// <summary>Refuses the call, or takes the targets off its route that are switched off.</summary>
    /// <exception cref="WireException">503: the whole of what it needs is switched off.</exception>
    public void Apply(ChatCall call)
    {
        var engaged = _engaged;
        if (engaged.IsEmpty)
            return;
        if ((engaged.Find(SwitchKind.Service, null) ?? engaged.Find(SwitchKind.Tenant, call.Caller.TenantId.ToString())
            ?? engaged.Find(SwitchKind.Feature, call.Feature) ?? engaged.Find(SwitchKind.Model, call.Request.Model)) is { } off)
            throw Refusal(off.Kind, off.Switch);
        (SwitchKind Kind, KillSwitch Switch)? last = null;
        var left = new List<PricedTarget>(call.Route.Count);
        foreach (var target in call.Route)
        {
            if ((engaged.Find(SwitchKind.Model, target.Target.Model.Id) ?? engaged.Find(SwitchKind.Provider, target.Target.Provider)) is { } targetOff)
                last = targetOff;
            else
                left.Add(target);
        }

        if (left.Count == 0 && last is { } nothing)
            throw Refusal(nothing.Kind, nothing.Switch);
        call.Route = left;
    }

    private WireException Refusal(SwitchKind kind, KillSwitch off)
    {
        var now = time.GetUtcNow();
        var until = off.Until is { } end && end > now ? $" until about {end:u}" : "";
        var (what, code) = kind switch
        {
            SwitchKind.Service => ("The service", "service_disabled"),
            SwitchKind.Tenant => ("Your organisation's access", "tenant_disabled"),
            _ => ($"The {kind.ToString().ToLowerInvariant()} '{off.Scope[(off.Scope.IndexOf(':', StringComparison.Ordinal) + 1)..]}'", $"{kind.ToString().ToLowerInvariant()}_disabled"),
        };
        return new WireException(503, "server_error", code, $"{what} is switched off{until}: {off.Reason ?? "no reason was given"}.")
        {
            RetryAfter = off.Until > now ? off.Until - now : TimeSpan.FromMinutes(1),
            ShouldRetry = false,
        };
    }

    private sealed class Engagements(IEnumerable<KillSwitch> engaged)
    {
        private readonly FrozenDictionary<string, KillSwitch> _byScope = engaged.ToFrozenDictionary(s => s.Scope, StringComparer.OrdinalIgnoreCase);

        public bool IsEmpty => _byScope.Count == 0;

        public (SwitchKind Kind, KillSwitch Switch)? Find(SwitchKind kind, string? name)
            => _byScope.TryGetValue(KillSwitch.ScopeOf(kind, name), out var off) ? (kind, off) : null;
    }
}

/// <summary>Refuses calls that a switch stops. Comes after admission: by then it is known which providers and models could serve.</summary>
public sealed class KillSwitchStep(KillSwitches switches) : IChatStep
{
    public IAsyncEnumerable<ChatEvent> InvokeAsync(ChatCall call, ChatNext next, CancellationToken cancellationToken)
    {
        switches.Apply(call);
        return next(call, cancellationToken);
    }
}

public static class RolloutsRegistration
{
    public static IServiceCollection AddKillSwitches(this IServiceCollection services)
        => services
            .AddSingleton<KillSwitches>()
            .AddSingleton<KillSwitchStep>()
            .AddChangeSubscription(KillSwitches.Topic, provider => provider.GetRequiredService<KillSwitches>().RefreshAsync);
}
