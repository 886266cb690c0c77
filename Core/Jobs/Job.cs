using AiAspire.Core.Data;
using AiAspire.Core.Tenancy;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Metadata.Builders;

namespace AiAspire.Core.Jobs;

public enum JobState
{
    /// <summary>Waiting for its time or for a worker.</summary>
    Queued,

    /// <summary>Leased by a worker until <see cref="Job.AvailableAt"/>.</summary>
    Running,
    Succeeded,

    /// <summary>Gave up: its tries are used up, or the fault is the request's.</summary>
    Failed,
    Cancelled,
}

/// <summary>Work to be done later for a user.</summary>
public sealed class Job : IUserOwned
{
    public required Guid TenantId { get; init; }

    public required Guid JobId { get; init; }

    public required Guid UserId { get; init; }

    /// <summary>Which <see cref="IJobHandler"/> runs it.</summary>
    public required string Kind { get; init; }

    public JobState State { get; set; }

    /// <summary>Lower runs first.</summary>
    public short Priority { get; init; }

    /// <summary>When a worker may take it: for a queued job its start, for a running one the end of its lease.</summary>
    public required DateTimeOffset AvailableAt { get; set; }

    /// <summary>Tries begun.</summary>
    public int Tries { get; set; }

    public int MaxTries { get; init; } = 5;

    /// <summary>Drawn anew with each claim. Whoever does not hold it cannot finish, release or extend the job.</summary>
    public Guid? LeaseToken { get; set; }

    public string? Worker { get; set; }

    /// <summary>Encrypted with the user's key.</summary>
    public required byte[] Payload { get; init; }

    /// <summary>Encrypted with the user's key.</summary>
    public byte[]? Result { get; set; }

    public string? ErrorCode { get; set; }

    /// <summary>For people; holds no content of the user's.</summary>
    public string? ErrorMessage { get; set; }

    /// <summary>W3C trace context of whoever queued it.</summary>
    public string? TraceParent { get; init; }

    public required DateTimeOffset CreatedAt { get; init; }

    public DateTimeOffset? StartedAt { get; set; }

    public DateTimeOffset? FinishedAt { get; set; }
}

public static class JobSets
{
    extension(AiAspireDb db)
    {
        public DbSet<Job> Jobs => db.Set<Job>();
    }
}

internal sealed class JobModel : IEntityTypeConfiguration<Job>
{
    public void Configure(EntityTypeBuilder<Job> builder)
    {
        builder.ToTable("jobs").HasKey(j => new { j.TenantId, j.JobId });
        builder.HasIndex(j => new { j.TenantId, j.UserId, j.CreatedAt });
        // For the claim, which looks across tenants: only the functions role uses it.
        builder.HasIndex(j => new { j.Priority, j.AvailableAt }).HasFilter("state IN ('Queued', 'Running')");
        builder.HasOne<User>().WithMany().HasForeignKey(j => new { j.TenantId, j.UserId });
    }
}
