using AiAspire.Core.Data;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Metadata.Builders;

namespace AiAspire.Core.Schedules;

/// <summary>Something that the workers do again and again; they write the row, so that processes without a scheduler know of it. A row of the platform tenant.</summary>
public sealed class Schedule : ITenantOwned
{
    public required Guid TenantId { get; init; }

    public required string Name { get; init; }

    /// <summary>A Quartz cron expression, in UTC.</summary>
    public required string Cron { get; set; }

    /// <summary>Null: never again.</summary>
    public DateTimeOffset? NextRunAt { get; set; }
}

public enum RunState
{
    /// <summary>Asked for; no worker has seen it.</summary>
    Requested,

    /// <summary>In the scheduler's hands.</summary>
    Queued,
    Running,
    Succeeded,
    Failed,

    /// <summary>The process died with it.</summary>
    Lost,
}

/// <summary>Why a run is.</summary>
public enum RunTrigger
{
    Schedule,

    /// <summary>An operator asked for it.</summary>
    Manual,

    /// <summary>The process of the run before died.</summary>
    Recovery,
}

/// <summary>One run of a schedule. A row of the platform tenant; the last hundred of each are kept.</summary>
public sealed class ScheduleRun : ITenantOwned
{
    public required Guid TenantId { get; init; }

    public required Guid RunId { get; init; }

    public required string Schedule { get; init; }

    public required RunTrigger Trigger { get; init; }

    public required RunState State { get; set; }

    /// <summary>The firing of the schedule that this is the run of.</summary>
    public DateTimeOffset? DueAt { get; set; }

    /// <summary>The scheduler's name for the process.</summary>
    public string? Worker { get; set; }

    public DateTimeOffset? StartedAt { get; set; }

    public DateTimeOffset? FinishedAt { get; set; }

    public string? Error { get; set; }

    /// <summary>What the run did, a JSON object.</summary>
    public string? Report { get; set; }
}

public static class ScheduleSets
{
    extension(AiAspireDb db)
    {
        public DbSet<Schedule> Schedules => db.Set<Schedule>();

        public DbSet<ScheduleRun> ScheduleRuns => db.Set<ScheduleRun>();
    }
}

internal sealed class ScheduleModel : IEntityTypeConfiguration<Schedule>, IEntityTypeConfiguration<ScheduleRun>
{
    public void Configure(EntityTypeBuilder<Schedule> builder) => builder.ToTable("schedules").HasKey(s => new { s.TenantId, s.Name });

    public void Configure(EntityTypeBuilder<ScheduleRun> builder)
    {
        builder.ToTable("schedule_runs").HasKey(r => new { r.TenantId, r.RunId });
        builder.HasIndex(r => new { r.TenantId, r.Schedule, r.RunId });
        // Of what was asked for and has not begun, one: asking again is asking for the same.
        builder.HasIndex(r => new { r.TenantId, r.Schedule }).IsUnique().HasFilter("state IN ('Requested', 'Queued')");
        // A firing has one run. One that a dead process began is run again as a recovery.
        builder.HasIndex(r => new { r.TenantId, r.Schedule, r.DueAt }).IsUnique().HasFilter("trigger = 'Schedule'");
        builder.Property(r => r.Report).HasColumnType("jsonb");
    }
}
