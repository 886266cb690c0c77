using AiAspire.Core.Data;
using AiAspire.Core.Wire;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Metadata.Builders;
using Microsoft.Extensions.DependencyInjection;

namespace AiAspire.Core.Rollouts;

/// <summary>A switch that stops calls. A row of the platform tenant stops them for every tenant.</summary>
public sealed class KillSwitch : ISharedByPlatform
{
    public const string ServiceScope = "service";

    public required Guid TenantId { get; init; }

    /// <summary>What it stops: <c>service</c>.</summary>
    public required string Scope { get; init; }

    /// <summary>True: calls are refused.</summary>
    public required bool Engaged { get; set; }

    public string? Reason { get; set; }

    /// <summary>When it is expected to be released, for <c>Retry-After</c>; it is released by hand all the same.</summary>
    public DateTimeOffset? Until { get; set; }

    public required string ChangedBy { get; set; }

    public required DateTimeOffset ChangedAt { get; set; }
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
public sealed class KillSwitches(TenantSessions sessions, TimeProvider time)
{
    public const string Topic = "kill_switches";

    private volatile KillSwitch? _service;

    /// <exception cref="WireException">503: the service is switched off.</exception>
    public void ThrowIfEngaged()
    {
        if (_service is not { Engaged: true } off)
            return;
        var now = time.GetUtcNow();
        var until = off.Until is { } end && end > now ? $" until about {end:u}" : "";
        throw new WireException(503, "server_error", "service_disabled", $"The service is switched off{until}: {off.Reason ?? "no reason was given"}.")
        {
            RetryAfter = off.Until > now ? off.Until - now : TimeSpan.FromMinutes(1),
            ShouldRetry = false,
        };
    }

    public async Task<KillSwitch> SetServiceAsync(bool engaged, string? reason, DateTimeOffset? until, string by, CancellationToken cancellationToken)
    {
        var now = time.GetUtcNow();
        var changed = await sessions.Open(TenantScope.Platform).RunAsync(
            async (db, token) =>
            {
                var row = await db.KillSwitches.SingleOrDefaultAsync(s => s.Scope == KillSwitch.ServiceScope, token);
                if (row is null)
                {
                    row = new KillSwitch { TenantId = TenantScope.PlatformTenantId, Scope = KillSwitch.ServiceScope, Engaged = engaged, ChangedBy = by, ChangedAt = now };
                    db.KillSwitches.Add(row);
                }

                (row.Engaged, row.Reason, row.Until, row.ChangedBy, row.ChangedAt) = (engaged, reason, until, by, now);
                await db.SaveChangesAsync(token);
                await db.NotifyChangedAsync(Topic, token);
                return row;
            },
            cancellationToken);
        _service = changed;
        return changed;
    }

    public KillSwitch? Service => _service;

    public async Task RefreshAsync(CancellationToken cancellationToken)
        => Hold(await sessions.Open(TenantScope.Platform).RunAsync(
            (db, token) => db.KillSwitches.AsNoTracking().SingleOrDefaultAsync(s => s.Scope == KillSwitch.ServiceScope, token), cancellationToken));

    internal void Hold(KillSwitch? service) => _service = service;
}

/// <summary>Refuses calls while a switch is engaged.</summary>
public sealed class KillSwitchStep(KillSwitches switches) : IChatStep
{
    public IAsyncEnumerable<ChatEvent> InvokeAsync(ChatCall call, ChatNext next, CancellationToken cancellationToken)
    {
        switches.ThrowIfEngaged();
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
