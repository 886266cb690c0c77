using AiAspire.Core.Data;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Metadata.Builders;

namespace AiAspire.Core.Jobs;

public enum JobState
{
    /// <summary>Waiting for its time; made <see cref="Queued"/> by the next claim after it.</summary>
    Scheduled,

    /// <summary>Waiting for a worker.</summary>
    Queued,

    /// <summary>Leased by a worker until <see cref="Job.LeaseUntil"/>.</summary>
    Running,
    Succeeded,

    /// <summary>Gave up: its tries are used up, or the fault is the request's. A dead letter, which can be redriven.</summary>
    Failed,
    Cancelled,
}

/// <summary>
/// Work that waits or runs. Finished jobs leave this table for <see cref="FinishedJob"/>, so that it and the indexes of the claim stay as
/// small as the work at hand.
/// </summary>
public sealed class Job : IUserOwned
{
    public required Guid TenantId { get; init; }

    public required Guid UserId { get; init; }

    public required Guid JobId { get; init; }

    /// <summary>Which <see cref="IJobHandler"/> runs it.</summary>
    public required string Kind { get; init; }

    public JobState State { get; set; }

    /// <summary>Lower runs first, among the jobs of its tenant: no tenant gets ahead of another by it.</summary>
    public short Priority { get; init; }

    /// <summary>When a worker may take it.</summary>
    public required DateTimeOffset AvailableAt { get; set; }

    /// <summary>After this the job fails instead of running.</summary>
    public DateTimeOffset? Deadline { get; init; }

    /// <summary>The larger work that this job does a part of. Whoever queued that work does not see such jobs, and is not told of their ends.</summary>
    public Guid? PartOf { get; init; }

    /// <summary>Of the user's jobs that wait or run, one may have it.</summary>
    public string? UniqueKey { get; init; }

    /// <summary>Starts so far.</summary>
    public int Tries { get; set; }

    /// <summary>Starts that failed and count against <see cref="MaxTries"/>.</summary>
    public int Failures { get; set; }

    /// <summary>Waits through nobody's fault (limits, an overloaded provider).</summary>
    public int Snoozes { get; set; }

    /// <summary>Workers that died with it.</summary>
    public int LostLeases { get; set; }

    public int MaxTries { get; init; }

    /// <summary>US dollars that the job may be charged; null: no ceiling.</summary>
    public decimal? MaxCost { get; init; }

    /// <summary>Drawn anew with each claim. Whoever does not hold it cannot finish, release or extend the job.</summary>
    public Guid? LeaseToken { get; set; }

    /// <summary>In no index, so that a heartbeat changes none.</summary>
    public DateTimeOffset? LeaseUntil { get; set; }

    public string? Worker { get; set; }

    /// <summary>The last claim. Claims come one after the other, so of those that run none was claimed before the oldest of them.</summary>
    public DateTimeOffset? ClaimedAt { get; set; }

    public bool CancelRequested { get; set; }

    /// <summary>0 to 1, as its handler reports it.</summary>
    public double? Progress { get; set; }

    /// <summary>Encrypted with the user's key.</summary>
    public required byte[] Payload { get; init; }

    /// <summary>Why it waits to be tried again.</summary>
    public string? ErrorCode { get; set; }

    /// <summary>W3C trace context of whoever queued it.</summary>
    public string? TraceParent { get; init; }

    public required DateTimeOffset CreatedAt { get; init; }

    public DateTimeOffset? StartedAt { get; set; }
}

/// <summary>A job that is over. Partitioned by the time inside its id; written by the functions that finish jobs, never changed.</summary>
public sealed class FinishedJob : IUserOwned
{
    public required Guid TenantId { get; init; }

    public required Guid UserId { get; init; }

    public required Guid JobId { get; init; }

    public required string Kind { get; init; }

    public JobState State { get; init; }

    public Guid? PartOf { get; init; }

    public short Priority { get; init; }

    public int Tries { get; init; }

    public int Failures { get; init; }

    public int MaxTries { get; init; }

    public decimal? MaxCost { get; init; }

    /// <summary>US dollars charged.</summary>
    public decimal Cost { get; init; }

    /// <summary>Kept, encrypted, of failed jobs alone: to redrive them.</summary>
    public byte[]? Payload { get; init; }

    /// <summary>Encrypted with the user's key.</summary>
    public byte[]? Result { get; init; }

    public string? ErrorCode { get; init; }

    /// <summary>For people; holds no content of the user's.</summary>
    public string? ErrorMessage { get; init; }

    public string? TraceParent { get; init; }

    /// <summary>Of whoever finished it: tells a repeated completion from a stranger's.</summary>
    public Guid? LeaseToken { get; init; }

    public required DateTimeOffset CreatedAt { get; init; }

    public DateTimeOffset? StartedAt { get; init; }

    public required DateTimeOffset FinishedAt { get; init; }
}

/// <summary>What a running job has said: tokens and progress, several at once, for whoever listens. Deleted after <see cref="JobOptions.EventHours"/>.</summary>
public sealed class JobEvent : IUserOwned
{
    public required Guid TenantId { get; init; }

    public required Guid UserId { get; init; }

    public required Guid JobId { get; init; }

    /// <summary>Rises within the job, over all its tries.</summary>
    public required long Sequence { get; init; }

    /// <summary>Encrypted with the user's key.</summary>
    public required byte[] Data { get; init; }

    public required DateTimeOffset CreatedAt { get; init; }
}

public static class JobSets
{
    extension(AiAspireDb db)
    {
        public DbSet<Job> Jobs => db.Set<Job>();

        public DbSet<FinishedJob> FinishedJobs => db.Set<FinishedJob>();

        public DbSet<JobEvent> JobEvents => db.Set<JobEvent>();
    }
}

internal sealed class JobModel : IEntityTypeConfiguration<Job>, IEntityTypeConfiguration<FinishedJob>, IEntityTypeConfiguration<JobEvent>
{
    private const string Dollars = "numeric(18,9)";

    public void Configure(EntityTypeBuilder<Job> builder)
    {
        builder.ToTable("jobs").HasKey(j => new { j.TenantId, j.UserId, j.JobId });
        builder.Property(j => j.MaxCost).HasColumnType(Dollars);
        builder.HasIndex(j => new { j.TenantId, j.UserId, j.UniqueKey }).IsUnique().HasFilter("unique_key IS NOT NULL");
        builder.HasIndex(j => new { j.TenantId, j.UserId, j.PartOf }).HasFilter("part_of IS NOT NULL");
        // For the claim, one index to each state, so that each is as small as what is in that state.
        builder.HasIndex(j => new { j.TenantId, j.Priority, j.AvailableAt }).HasFilter("state = 'Queued'");
        builder.HasIndex(j => j.ClaimedAt).HasFilter("state = 'Running'");
        builder.HasIndex(j => j.AvailableAt).HasFilter("state = 'Scheduled'");
    }

    public void Configure(EntityTypeBuilder<FinishedJob> builder)
    {
        builder.ToTable("job_history").HasKey(j => new { j.TenantId, j.UserId, j.JobId });
        builder.Property(j => j.MaxCost).HasColumnType(Dollars);
        builder.Property(j => j.Cost).HasColumnType(Dollars);
    }

    public void Configure(EntityTypeBuilder<JobEvent> builder)
        => builder.ToTable("job_events").HasKey(e => new { e.TenantId, e.UserId, e.JobId, e.Sequence });
}
