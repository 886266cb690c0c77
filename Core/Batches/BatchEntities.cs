using AiAspire.Core.Data;
using AiAspire.Core.Encryption;
using AiAspire.Core.Tenancy;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Metadata.Builders;

namespace AiAspire.Core.Batches;

/// <summary>OpenAI's statuses of a batch.</summary>
public enum BatchState
{
    /// <summary>Its file is being read.</summary>
    Validating,

    /// <summary>The file could not be taken at all, and nothing was done; or its own job was given up, and what was done waits as its parts.</summary>
    Failed,
    InProgress,

    /// <summary>All requests are done; their answers are being put together.</summary>
    Finalizing,
    Completed,

    /// <summary>Its time was over; what was done until then is in its files.</summary>
    Expired,

    /// <summary>What has begun is finished, and the rest is not begun.</summary>
    Cancelling,
    Cancelled,
}

/// <summary>The requests of a file, to be answered within a day. The jobs that do it are <see cref="Jobs.Job.PartOf"/> it; answers are its parts.</summary>
public sealed class Batch : IUserOwned
{
    public required Guid TenantId { get; init; }

    public required Guid UserId { get; init; }

    public required Guid BatchId { get; init; }

    /// <summary>The path that every request is for, such as <c>/v1/chat/completions</c>.</summary>
    public required string Endpoint { get; init; }

    public BatchState State { get; init; }

    public required Guid InputFileId { get; init; }

    public Guid? OutputFileId { get; init; }

    public Guid? ErrorFileId { get; init; }

    /// <summary>How long its output and error files are kept from their creation; null: as long as files are kept.</summary>
    public TimeSpan? OutputKeptFor { get; init; }

    /// <summary>The caller's own words about it, a JSON object, encrypted with the user's key.</summary>
    public byte[]? Metadata { get; init; }

    /// <summary>What is wrong with its file: a JSON array of <see cref="BatchFault"/>, encrypted with the user's key.</summary>
    public byte[]? Errors { get; init; }

    /// <summary>Requests in the file; null until it has been read.</summary>
    public int? Total { get; init; }

    /// <summary>Set when its files are made, or its own is refused; until then they are counted.</summary>
    public int? Completed { get; init; }

    public int? Failed { get; init; }

    /// <summary>US dollars charged; set at its end.</summary>
    public decimal? Cost { get; init; }

    public required DateTimeOffset CreatedAt { get; init; }

    public required DateTimeOffset ExpiresAt { get; init; }

    public DateTimeOffset? InProgressAt { get; init; }

    public DateTimeOffset? FinalizingAt { get; init; }

    public DateTimeOffset? CancellingAt { get; init; }

    /// <summary>When it came to its end, whichever.</summary>
    public DateTimeOffset? FinishedAt { get; init; }

    public bool IsOver => State is BatchState.Completed or BatchState.Failed or BatchState.Expired or BatchState.Cancelled;

    internal static ContentPlace MetadataPlace(Guid batchId) => new("batches", "metadata", batchId);

    internal static ContentPlace ErrorsPlace(Guid batchId) => new("batches", "errors", batchId);
}

/// <summary>What is wrong with a file or a line of it, in OpenAI's shape.</summary>
/// <param name="Code">A stable word.</param>
/// <param name="Message">For people.</param>
/// <param name="Line">The line, from 1; null: the file.</param>
/// <param name="Param">The field at fault.</param>
public sealed record BatchFault(string Code, string Message, int? Line = null, string? Param = null);

public static class BatchSets
{
    extension(AiAspireDb db)
    {
        public DbSet<Batch> Batches => db.Set<Batch>();
    }
}

internal sealed class BatchModel : IEntityTypeConfiguration<Batch>
{
    public void Configure(EntityTypeBuilder<Batch> builder)
    {
        builder.ToTable("batches").HasKey(b => new { b.TenantId, b.UserId, b.BatchId });
        builder.Property(b => b.Cost).HasColumnType("numeric(18,9)");
        // No foreign keys to files: those have times of their own, and go before the batch or after it.
        builder.HasIndex(b => new { b.TenantId, b.UserId, b.InputFileId });
        builder.HasOne<User>().WithMany().HasForeignKey(b => new { b.TenantId, b.UserId });
    }
}
